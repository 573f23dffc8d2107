"""Change items at random in ways that leave what they show: images move, vectors get noise."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

Augmentation = Callable[[Tensor], Tensor]
"""From scaled items, (n, channels, height, width) or (n, d), to as many of the same shape."""

_ROTATION = 10.0
_TRANSLATION = 0.1
_ZOOM = 0.5
_JITTER = 0.4
_NOISE = 0.5
_HIDDEN = 0.5
_PARTS = ("turn", "shift", "zoom", "flip", "jitter", "noise", "hide")


def make_augmentation(augment: str | Augmentation | None) -> Augmentation:
    """Make the function that changes the items of a step.

    Parameters
    ----------
    augment : str, callable or None
        Parts, joined by commas. Of images: ``"turn"``, by up to 10 degrees; ``"shift"``, by up to a
        tenth of the height and the width; ``"zoom"``, into a window with at least half of the
        sides; ``"flip"``, half of them mirrored left to right; ``"jitter"``, contrast and
        brightness changed by up to 0.4. Of vectors: ``"noise"``, Gaussian, with half of the root of
        the mean variance of the features; ``"hide"``, half of the features set to their mean.
        Parts that are not of the items at hand do nothing, and nor does None. A callable is taken
        as it is.

    Returns
    -------
    callable
        From a Tensor of shape (n, channels, height, width) or (n, d), float32, scaled items, to one
        of the same shape.

    Raises
    ------
    TypeError
        If `augment` is neither.
    ValueError
        If there is no such part.

    Examples
    --------
    >>> make_augmentation("shift,flip")(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 1, 8, 8])
    """
    if callable(augment):
        return augment
    if not isinstance(augment, str | None):
        raise TypeError(f"augment must be a string, a callable or None, got {augment!r}")
    parts = [part.strip() for part in augment.split(",")] if augment else []
    for part in parts:
        if part not in _PARTS:
            raise ValueError(f"augment has no part {part!r}; there are: {', '.join(_PARTS)}")
    moves = {"turn", "shift", "zoom", "flip"}.intersection(parts)

    def change(x: Tensor) -> Tensor:
        if x.ndim == 2:
            x = x + _NOISE * torch.randn_like(x) if "noise" in parts else x
            return x * (torch.rand_like(x) >= _HIDDEN) if "hide" in parts else x
        if moves:
            x = move(
                x,
                rotation=_ROTATION * ("turn" in parts),
                translation=_TRANSLATION * ("shift" in parts),
                zoom=_ZOOM * ("zoom" in parts),
                flip="flip" in parts,
            )
        return jitter(x, _JITTER) if "jitter" in parts else x

    return change


def move(
    x: Tensor,
    *,
    rotation: float = 0.0,
    translation: float = 0.0,
    zoom: float = 0.0,
    flip: bool = False,
) -> Tensor:
    """Turn, move, enlarge and mirror each image as chance has it.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width), float32
        Images.
    rotation : float, default=0.0
        Most degrees, either way.
    translation : float, default=0.0
        Most of the height and the width, either way.
    zoom : float, default=0.0
        From 0 to 1. The window that is enlarged to the whole image, anywhere inside it, has at
        least 1 less this of its sides.
    flip : bool, default=False
        Whether half of the images are mirrored, left to right.

    Returns
    -------
    Tensor of shape (n, channels, height, width), float32
        Images; what comes in from outside an image is as its nearest pixel.
    """
    n = len(x)
    angle = (2 * torch.rand(n, device=x.device) - 1) * math.radians(rotation)
    shift = 2 * translation * (2 * torch.rand(n, 2, device=x.device) - 1)
    seen = torch.ones(n, device=x.device)
    if zoom:
        seen -= zoom * torch.rand(n, device=x.device)
        shift += (1 - seen)[:, None] * (2 * torch.rand(n, 2, device=x.device) - 1)
    side = seen
    if flip:
        side = seen * (1 - 2 * torch.randint(2, (n,), device=x.device).float())
    return resample(x, angle, shift, side, seen)


def resample(x: Tensor, angle: Tensor, shift: Tensor, side: Tensor, seen: Tensor) -> Tensor:
    """Take the pixels of each image from elsewhere in it.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width), float32
        Images.
    angle : Tensor of shape (n,), float32
        Radians that each is turned by, counter-clockwise.
    shift : Tensor of shape (n, 2), float32
        Where the window's middle is, to the right and down, in halves of the sides.
    side : Tensor of shape (n,), float32
        Width of the window, as a part of the image's; below 0 the image is mirrored.
    seen : Tensor of shape (n,), float32
        Height of the window, as a part of the image's.

    Returns
    -------
    Tensor of shape (n, channels, height, width), float32
        Images; what comes in from outside an image is as its nearest pixel.
    """
    # The grid's units are half a side; an oblong image is turned as it is seen.
    cos, sin, ratio = angle.cos(), angle.sin(), x.shape[2] / x.shape[3]
    first = torch.stack([side * cos, -side * sin * ratio, shift[:, 0]], dim=1)
    second = torch.stack([seen * sin / ratio, seen * cos, shift[:, 1]], dim=1)
    grid = affine_grid(torch.stack([first, second], dim=1), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def jitter(x: Tensor, most: float) -> Tensor:
    """Change contrast and brightness of each image.

    Parameters
    ----------
    x : Tensor of shape (n, channels, height, width), float32
        Images from -1 to 1.
    most : float
        Contrast is multiplied by 1 +/- this at most, around the image's mean, and as much added.

    Returns
    -------
    Tensor of shape (n, channels, height, width), float32
        Images, cut to -1 and 1.
    """
    drawn = 2 * torch.rand(2, len(x), 1, 1, 1, device=x.device) - 1
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (mean + (x - mean) * (1 + most * drawn[0]) + most * drawn[1]).clamp(-1, 1)
