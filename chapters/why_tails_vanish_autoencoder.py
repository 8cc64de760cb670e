"""The paper's autoencoder experiment, small: each generation learns what the one before draws.

The paper trains a convolutional variational autoencoder with 20 latent variables on MNIST, and each
successor on what its predecessor's decoder makes of random latents (main.py's notebook: fresh
samples at every step, decoder means as pictures). Here the pictures are the 1,797 digits of 8 x 8
pixels that come with scikit-learn (Alpaydin and Kaynak 1998, from UCI), and encoder and decoder are
two small dense networks. Kingma and Welling 2014 (arXiv 1312.6114).
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

LATENT = 8
HIDDEN = 128
PIXELS = 64
BALANCE = PIXELS / 784  # weight of the divergence: it shall count against a picture as on MNIST
BATCH = 128
LR = 2e-3
# Of the released notebook's one run, the latent standard deviation of the first encoder on what
# five generations draw.
PAPER = (0.674, 0.608, 0.527, 0.468, 0.433)


@dataclass(frozen=True)
class Autoencoder:
    """Encoder to mean and log variance of each latent, decoder to logits of pixels."""

    encoder: nn.Module
    decoder: nn.Module

    def latents(self, pictures: Tensor) -> Tensor:
        """Means, (pictures, LATENT)."""
        return self.encoder(pictures)[:, :LATENT]

    def draw(self, number: int, random: torch.Generator) -> Tensor:
        """Pictures decoded from standard normal latents, (number, PIXELS), from 0 to 1."""
        return torch.sigmoid(self.decoder(torch.randn(number, LATENT, generator=random)))


def load() -> Tensor:
    """The digits, (1797, 64), from 0 to 1."""
    return torch.from_numpy(load_digits().data.astype(np.float32) / 16)


def train(source: Tensor | Autoencoder, steps: int, random: torch.Generator) -> Autoencoder:
    """Train an autoencoder from scratch, on pictures or on what another one draws at every step.

    The loss is that of a variational autoencoder: binary cross-entropy summed over pixels, plus the
    weighted divergence of the latents from a standard normal.
    """
    seed = int(torch.randint(2**31, (), generator=random))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=LR, fused=True)
    for _ in range(steps):
        if isinstance(source, Autoencoder):
            with torch.no_grad():
                pictures = source.draw(BATCH, random)
        else:
            pictures = source[torch.randint(len(source), (BATCH,), generator=random)]
        mean, log_variance = encoder(pictures).chunk(2, 1)
        noise = torch.randn(mean.shape, generator=random)
        logits = decoder(mean + noise * (0.5 * log_variance).exp())
        error = functional.binary_cross_entropy_with_logits(logits, pictures, reduction="sum")
        prior = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        optimiser.zero_grad(set_to_none=True)
        ((error + BALANCE * prior) / BATCH).backward()
        optimiser.step()
    return Autoencoder(encoder.eval(), decoder.eval())


def chain(
    generations: int, steps: int, seed: int, shown: int = 10
) -> tuple[list[float], list[np.ndarray]]:
    """Generations of autoencoders, the first one trained on the digits.

    Returns:
        the standard deviation, mean over latents, of those that the first encoder gives to what
        each generation draws; and some of its pictures, (shown, 8, 8).
    """
    random = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a second one would only wait: the products are tiny
    try:
        first = model = train(load(), steps, random)
        spreads, pictures = [], []
        for number in range(generations):
            if number:
                model = train(model, steps, random)
            with torch.no_grad():
                drawn = model.draw(2000, random)
                spreads.append(float(first.latents(drawn).std(0).mean()))
            pictures.append(drawn[:shown].reshape(-1, 8, 8).numpy())
    finally:
        torch.set_num_threads(threads)
    return spreads, pictures
