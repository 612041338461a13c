"""Which values of X count as 0 and as 1: learned from the images of fit, or stated."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_byol.exceptions import PixelRangeWarning, warn
from sklearn_byol.images._layout import Pixels
from sklearn_byol.images._pixel_range import KNOWN, Ends, Range, for_each

LARGEST = 2.0**125  # of float32, so that differences are finite too
IN_COLOUR = 3  # channels that share a known range however unlike they are
UNLIKE = 4.0  # times as long as its own is a range that a channel may share
TAIL = 1e-3  # share of the pixels at each end that do not decide by themselves
SPARE = 0.5  # of the range of the others: how far the extremes may lie from it
N_IMAGES, N_PIXELS = 1024, 2**20  # of each channel, by which ranges are learned
LEAST_MARKS, LEAST_OTHERS = 4, 16  # pixels of a mark; values of the others
LEAST_STEPS = 4  # of float32, from the smallest value to the largest
MOST_MARKS = 3  # at each end


def stated_range(given: Any, n_channels: int) -> Range:
    """Check a range that a user has stated: two numbers, or two for each channel."""
    try:
        low, high = (np.asarray(bound, dtype=np.float64) for bound in given)
    except (TypeError, ValueError, OverflowError):
        low = high = np.zeros(())
    shapes = {low.shape, high.shape} - {()}
    with np.errstate(all="ignore"):
        length = np.float32(high - low) if shapes <= {(n_channels,)} else np.zeros(1)
    has_order = bool(np.isfinite(length).all() and (length > 0).all())
    if not has_order or not shapes <= {(n_channels,)}:
        raise ValueError(
            'pixel_range must be "auto" or (low, high), numbers with low below high, '
            f"or one for each of the {n_channels} channels. Got {given!r}."
        )
    each = [np.broadcast_to(bound, (n_channels,)).tolist() for bound in (low, high)]
    if all(len(set(bound)) == 1 for bound in each):
        return float(each[0][0]), float(each[1][0])
    return tuple(each[0]), tuple(each[1])


def check_stated(chosen: Range, extremes: Pixels) -> None:
    """Raise if no value of X lies within a range that was stated."""
    low, high = float(extremes.min()), float(extremes.max())
    start, end = float(np.min(chosen[0])), float(np.max(chosen[1]))
    if high <= start or low >= end:
        raise ValueError(
            f"X has values from {low:g} to {high:g}, none of them within pixel_range, "
            f"from {start:g} to {end:g}. Set the values of X that are to count as 0 "
            "and as 1."
        )


def pixel_range(images: Pixels, extremes: Pixels) -> Range:
    """Choose the range of images (n_images, n_channels, height, width) of fit.

    All of them or some, and the extremes of all. One for all channels where they are
    alike: the first of those known that holds them, and more than a quarter of which is
    reached, for bytes [0, 255] if one exceeds 16; else from their smallest to their
    largest value, as for digits counted from 0 to 16. Channels of unlike units have one
    each. Single pixels far from all others do not decide, nor does a mark for pixels
    that are missing; both are said.
    """
    low, high = float(extremes.min()), float(extremes.max())
    if max(-low, high) > LARGEST:
        return _without_the_huge(images, (low, high))
    if images.dtype == np.uint8 and high > 16:
        return KNOWN[2]
    # Those who have scaled their images know it better than quantiles do.
    is_scaled = images.dtype.kind in "fb"
    known = _known(low, high, KNOWN[:3]) if is_scaled else None
    usual = known if images.shape[1] in {1, IN_COLOUR} else None
    if usual == KNOWN[0]:
        return usual
    channels = list(_by_channel(images))
    # The black of [-1, 1] is no mark.
    has_marks = known not in KNOWN[:2]
    marks = [_marks(values) if has_marks else [] for values in channels]
    ends = [_ends(_without(*pair)) for pair in zip(channels, marks, strict=True)]
    if usual and _known(*_around(ends), KNOWN[:3]) in {None, usual}:
        return usual
    chosen = _shared(ends, (low, high)) or _each(ends)
    _refuse_short(ends)
    _tell_of_marks(marks, chosen)
    _tell_of_others(channels, marks, chosen, (low, high))
    return chosen


def _without_the_huge(images: Pixels, extremes: Ends) -> Range:
    """Choose the range without values that only mark pixels as missing, as GDAL does.

    Their differences from others are too large for float32.
    """
    sample = sample_of(images)
    is_huge = np.abs(sample) > LARGEST
    huge = {*np.unique(sample[is_huge]).tolist()}
    huge |= {end for end in extremes if abs(end) > LARGEST}
    is_beyond = max(map(abs, extremes)) > float(np.finfo(np.float32).max)
    if is_beyond or is_huge.all() or len(huge) > MOST_MARKS:
        low, high = extremes
        raise ValueError(
            f"X has values from {low:g} to {high:g}, too large for float32, in which "
            "all is computed. Divide X by a number, so that pixels lie in [0, 1] or so."
        )
    others = np.where(is_huge, np.median(sample[~is_huge]), sample)
    chosen = pixel_range(others, others)
    _tell_of_marks([sorted(huge)], chosen)
    return chosen


def sample_of(images: Pixels) -> Pixels:
    """Take some images, and of large ones some rows and columns, at random."""
    n_images, _, height, width = images.shape
    chosen = images if n_images <= N_IMAGES else images[some_of(n_images, N_IMAGES)]
    share = np.sqrt(N_PIXELS / (len(chosen) * height * width))
    if share >= 1:
        return chosen
    rows, columns = (some_of(n, max(1, int(share * n))) for n in (height, width))
    return chosen[:, :, rows[:, None], columns]


def some_of(n: int, n_chosen: int) -> NDArray[np.intp]:
    """Choose some of n at random, the same at each call, in ascending order."""
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(n, min(n, n_chosen), replace=False))


def _by_channel(images: Pixels) -> Iterator[NDArray[Any]]:
    """Go through the values of each channel, of a sample of the images."""
    sample = sample_of(images)
    for channel in range(images.shape[1]):
        values = np.ravel(sample[:, channel])
        yield values.astype(np.float32) if values.dtype.kind == "b" else values


def _known(low: float, high: float, known: tuple[Ends, ...]) -> Ends | None:
    """Find the known range that holds both ends and is reached."""
    for ends in known:
        if ends[0] <= low and ends[1] / 4 < high <= ends[1]:
            return ends
    return None


def _around(ends: list[Ends]) -> Ends:
    """Find the ends of all channels together."""
    return min(low for low, _ in ends), max(high for _, high in ends)


def _without(values: NDArray[Any], marks: list[float]) -> NDArray[Any]:
    """Leave out values that are marks."""
    return values[~np.isin(values, marks)] if marks else values


def _ends(values: NDArray[Any]) -> Ends:
    """Find the smallest and the largest value, but for few that are far from others."""
    at = int(TAIL * (len(values) - 1)), int((1 - TAIL) * (len(values) - 1))
    ordered = np.partition(values, at)
    lower, upper = (float(ordered[index]) for index in at)
    spare = SPARE * (upper - lower) or np.inf  # nearly all values are one
    near = values[(values >= lower - spare) & (values <= upper + spare)]
    return float(near.min()), float(near.max())


def _marks(values: NDArray[Any]) -> list[float]:
    """Find values at the ends that repeat while all others are far from them."""
    marks: list[float] = []
    for _ in range(MOST_MARKS):
        found = _marks_at_ends(values)
        if not found:
            break
        marks += found
        values = values[~np.isin(values, found)]
    return marks


def _marks_at_ends(values: NDArray[Any]) -> list[float]:
    """Find the marks among the smallest and the largest value."""
    ends = [
        end
        for end in (values.min(), values.max())
        if LEAST_MARKS <= np.count_nonzero(values == end) < len(values)
    ]
    others = values[~np.isin(values, ends)]
    some = np.unique(others[:: len(others) // N_IMAGES + 1])
    if not ends or len(some) < LEAST_OTHERS:
        return []
    low, high = _ends(others)
    least, most = float(others.min()), float(others.max())
    gaps = {float(end): max(least - float(end), float(end) - most) for end in ends}
    return [end for end, gap in gaps.items() if gap > high - low]


def _shared(ends: list[Ends], extremes: Ends) -> Ends | None:
    """Choose one range for all channels, where none is a small part of it.

    It goes to the extremes of all images, of which some were looked at, if they are not
    far away.
    """
    low, high = _around(ends)
    lengths = [high - low for low, high in ends if high > low]
    known = _known(low, high, KNOWN)
    is_colour = known is not None and len(ends) == IN_COLOUR
    if lengths and high - low > UNLIKE * min(lengths) and not is_colour:
        return None
    spare = SPARE * (high - low)
    low = extremes[0] if extremes[0] >= low - spare else low
    high = extremes[1] if extremes[1] <= high + spare else high
    return known or ((low, high) if high - low > 1 / LARGEST else (low, _after(low)))


def _each(ends: list[Ends]) -> Range:
    """Give each channel its own range; a constant one has a length of 1."""
    lows = tuple(low for low, _ in ends)
    return lows, tuple(high if high > low else _after(low) for low, high in ends)


def _after(low: float) -> float:
    """Return what counts as 1 where all is one value: another number in float32."""
    return low + max(1.0, 2 * float(np.spacing(np.float32(abs(low)))))


def _refuse_short(ends: list[Ends]) -> None:
    """Refuse values that are nearly the same number in float32, and are not."""
    for channel, (low, high) in enumerate(ends):
        step = float(np.spacing(np.float32(max(abs(low), abs(high)))))
        if low < high < low + LEAST_STEPS * step and high - low > 1 / LARGEST:
            where = f"channel {channel} of X" if len(ends) > 1 else "X"
            raise ValueError(
                f"The values of {where} lie between {low:.10g} and {high:.10g}: in "
                "float32, in which all is computed, little of their differences is "
                "left. Subtract a number, such as X.min(), before."
            )


def _tell_of_marks(marks: list[list[float]], chosen: Range) -> None:
    """Warn of values that are likely to mark pixels as missing, or as saturated.

    What lies within the range after all is as good as any value.
    """
    bounds = zip(marks, *for_each(chosen, len(marks)), strict=True)
    far = ((m for m in some if not low <= m <= high) for some, low, high in bounds)
    found = sorted({mark for some in far for mark in some})
    if found:
        named = " and ".join(f"{mark:g}" for mark in found)
        warn(
            f"X holds the value {named} again and again, and all others are far from "
            "it: likely a mark for pixels that are missing or saturated. It is left "
            "out of the range and counts as its end. Put a value of the image in its "
            "place, such as X[X == value] = np.median(X[X != value]), or state "
            "pixel_range=(low, high).",
            PixelRangeWarning,
        )


def _tell_of_others(
    channels: list[NDArray[Any]],
    marks: list[list[float]],
    chosen: Range,
    extremes: Ends,
) -> None:
    """Warn of what lies beyond the range, and is clipped."""
    lows, highs = for_each(chosen, len(channels))
    bounds = zip(channels, marks, lows, highs, strict=True)
    n_beyond = sum(
        np.count_nonzero(((values < low) | (values > high)) & ~np.isin(values, mark))
        for values, mark, low, high in bounds
    )
    known = [mark for some in marks for mark in some]
    known += [lows.min(), highs.max()]
    if n_beyond or min(known) > extremes[0] or max(known) < extremes[1]:
        n_values = sum(map(len, channels))
        what = f"{n_beyond} of {n_values}" if n_beyond else f"Less than 1 of {n_values}"
        low, high = (np.round(bound, 6) for bound in chosen)
        warn(
            f"{what} pixels of X are far from all others, beyond the range from {low} "
            f"to {high}, and are clipped to it. Set pixel_range=(low, high) if that "
            "is not the range of X; it silences this.",
            PixelRangeWarning,
        )
