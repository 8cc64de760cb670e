"""Autoencoders that learn the digits, and then what autoencoders draw."""

import torch

import why_tails_vanish_autoencoder as autoencoder


def test_the_digits_are_pictures_from_0_to_1() -> None:
    pictures = autoencoder.load()
    assert pictures.shape == (1797, 64)
    assert float(pictures.min()) == 0.0 and float(pictures.max()) == 1.0


def test_an_autoencoder_learns_the_digits_and_draws_pictures() -> None:
    random = torch.Generator().manual_seed(0)
    pictures = autoencoder.load()
    untrained, trained = (autoencoder.train(pictures, steps, random) for steps in (0, 400))

    def error(model: autoencoder.Autoencoder) -> float:
        with torch.no_grad():
            again = torch.sigmoid(model.decoder(model.latents(pictures)))
        return float((again - pictures).square().mean())

    assert error(trained) < 0.5 * error(untrained)
    assert error(trained) < float(pictures.var(0).mean())  # better than the mean picture
    drawn = trained.draw(5, random).detach()
    assert drawn.shape == (5, 64) and 0 <= float(drawn.min()) <= float(drawn.max()) <= 1


def test_a_chain_is_the_same_for_a_seed_and_another_for_another() -> None:
    one, two, other = (autoencoder.chain(2, 30, seed) for seed in (1, 1, 2))
    assert one[0] == two[0] != other[0]
    assert one[1][0].shape == (10, 8, 8) and len(one[0]) == len(one[1]) == 2
