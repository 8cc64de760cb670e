"""An executed notebook made fit to publish: equal executions give equal bytes."""

import copy

import nbformat
from nbformat import NotebookNode

KEPT = ("kernelspec", "execution")  # of the metadata; the second is how it was asked for


def normalise(notebook: NotebookNode) -> NotebookNode:
    """A copy without timings, host paths and stderr, so that equal executions give equal bytes.

    Figures get their number, caption and alt text here: an output with the metadata
    `collapse: {id, caption, alt}` becomes the figure `id`, in a cell that shows nothing else.
    """
    result = copy.deepcopy(notebook)
    result.nbformat, result.nbformat_minor = 4, 5
    kept = {key: result.metadata[key] for key in KEPT if key in result.metadata}
    language = NotebookNode(name="python", pygments_lexer="ipython3")
    result.metadata = NotebookNode(kept, language_info=language)
    cells: list[NotebookNode] = []
    for cell in result.cells:
        for key in ("papermill", "execution", "lines_to_next_cell"):
            cell.metadata.pop(key, None)
        tags = cell.metadata.pop("tags", [])
        if "injected-parameters" in tags and "remove-cell" not in tags:
            tags = ["injected-parameters", "hide-input"]
        if tags:
            cell.metadata["tags"] = tags
        if cell.cell_type == "code":
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            cells += _split_at_figures(cell)
        else:
            cells.append(cell)
    for number, cell in enumerate(cells, start=1):
        cell.id = f"cell-{number:04d}"
    result.cells = cells
    return result


def _split_at_figures(cell: NotebookNode) -> list[NotebookNode]:
    # MyST-NB makes a figure of every output of a cell with figure options, so whatever else the
    # cell displays moves on into cells whose input is not shown (an empty cell would be dropped).
    parts = [cell]
    outputs, cell.outputs = cell.outputs, []
    for output in outputs:
        figure = output.get("metadata", {}).get("collapse")
        displays = [shown for shown in parts[-1].outputs if shown.output_type != "stream"]
        if displays and (figure or "mystnb" in parts[-1].metadata):
            part = nbformat.v4.new_code_cell("# displayed by the cell above")
            part.metadata["tags"] = ["remove-input"]
            part.execution_count = cell.execution_count
            parts.append(part)
        parts[-1].outputs.append(output)
        if figure:
            parts[-1].metadata["mystnb"] = NotebookNode(
                figure={"name": figure["id"], "caption": figure["caption"]},
                image={"alt": figure["alt"]},
            )
    return parts
