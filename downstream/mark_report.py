"""Which answers to the task ``alternate`` carry the white mark: the two modes of the paper's figure 5, counted."""

from torch import Tensor

from pretext.tasks.alternate import MARKS, AlternateConfig, rectangle

NEAR = 0.3  # mean absolute difference in the mark's place, of a range of 2, that still counts as a mode


def mark_scores(clean: Tensor, answers: Tensor, config: AlternateConfig) -> dict[str, float]:
    """Shares of the answers with and without the mark.

    Parameters
    ----------
    clean : Tensor, shape (N, C, H, W)
        The images without any mark (targets of the task at rate 0).
    answers : Tensor, shape (N, K, C, H, W)
        K answers to each.
    config : AlternateConfig
        Says which mark.

    Returns
    -------
    dict of str to float
        ``with the mark``: share of the answers within 0.3 (mean absolute difference over the mark's pixels) of white;
        ``without``: within 0.3 of the clean image; ``between``: all others; ``both found``: share of the inputs with
        answers of both sorts. Images that are white there by themselves count as with the mark.
    """
    place = rectangle(MARKS[config.mark], *clean.shape[2:]).expand_as(clean)[0]  # (C, H, W)
    inside = answers[:, :, place]  # (N, K, pixels)
    marked = (inside - 1).abs().mean(dim=2) < NEAR  # (N, K)
    plain = ((inside - clean[:, place][:, None]).abs().mean(dim=2) < NEAR) & ~marked
    return {
        "with the mark": marked.double().mean().item(),
        "without": plain.double().mean().item(),
        "between": (~marked & ~plain).double().mean().item(),
        "both found": (marked.any(dim=1) & plain.any(dim=1)).double().mean().item(),
    }
