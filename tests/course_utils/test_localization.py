"""Localisation measures agree with their definitions, worked out by hand or by plain loops."""

import itertools
import json
import re
from collections import deque

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from course_utils import localization as loc
from course_utils.localization.checking import CONVENTIONS
from course_utils.localization.stored import STORED


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def drawing(*rows):
    """A map drawn with digits (tenths), ``#`` for 1 and ``.`` for 0."""
    values = {".": 0.0, "#": 1.0, **{str(d): d / 10 for d in range(10)}}
    return torch.tensor([[values[c] for c in row] for row in rows])


# ------------------------------------------------------------------- definitions, in plain loops


def loop_components(mask):
    """Components of a bool array, 8-connected, each a list of (y, x), in reading order."""
    seen, components = set(), []
    height, width = mask.shape
    for start in itertools.product(range(height), range(width)):
        if not mask[start] or start in seen:
            continue
        queue, pixels = deque([start]), []
        seen.add(start)
        while queue:
            y, x = queue.popleft()
            pixels.append((y, x))
            for v, u in itertools.product((y - 1, y, y + 1), (x - 1, x, x + 1)):
                inside = 0 <= v < height and 0 <= u < width
                if inside and mask[v, u] and (v, u) not in seen:
                    seen.add((v, u))
                    queue.append((v, u))
        components.append(pixels)
    return components


def loop_box(pixels):
    ys, xs = zip(*pixels, strict=True)
    return [min(xs), min(ys), max(xs), max(ys)]


def loop_iou(a, b):
    def pixels(box):
        return set(itertools.product(range(box[0], box[2] + 1), range(box[1], box[3] + 1)))

    return len(pixels(a) & pixels(b)) / len(pixels(a) | pixels(b))


def loop_accuracies(maps, boxes, thresholds, delta):
    answer = []
    for t in thresholds:
        found = 0
        for values, truth in zip(maps.numpy(), boxes.tolist(), strict=True):
            components = loop_components(values >= t)
            if components:
                largest = max(components, key=len)
                found += max(loop_iou(loop_box(largest), b) for b in truth) >= delta
        answer.append(found / len(maps))
    return answer


def random_maps(count, height, width, levels=5):
    return torch.randint(0, levels, (count, height, width)).double() / (levels - 1)


def random_boxes(count, number, height, width):
    xs = torch.randint(0, width, (count, number, 2)).sort(-1).values
    ys = torch.randint(0, height, (count, number, 2)).sort(-1).values
    return torch.stack([xs[..., 0], ys[..., 0], xs[..., 1], ys[..., 1]], -1)


# -------------------------------------------------------------------------------------------- iou


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([0, 0, 3, 3], [0, 0, 3, 3], 1),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1),  # one pixel
        ([0, 0, 1, 0], [1, 0, 2, 0], 1 / 3),
        ([0, 0, 1, 1], [2, 0, 3, 1], 0),  # side by side: no pixel in common
        ([0, 0, 3, 3], [1, 1, 2, 2], 4 / 16),
        ([0, 0, 2, 2], [2, 2, 4, 4], 1 / 17),
    ],
)
def test_iou_counts_inclusive_pixels(a, b, expected):
    assert float(loc.iou(a, b)) == pytest.approx(expected)
    assert float(loc.iou(b, a)) == pytest.approx(expected)


def test_iou_compares_pair_by_pair_or_each_with_each():
    a, b = random_boxes(4, 3, 9, 7).flatten(0, 1), random_boxes(4, 3, 9, 7).flatten(0, 1)
    pairs = loc.iou(a, b)
    table = loc.iou(a[:, None], b)
    assert pairs.shape == (12,)
    assert torch.equal(table.diagonal(), pairs)
    for (i, p), (j, q) in itertools.product(enumerate(a.tolist()), enumerate(b.tolist())):
        assert float(table[i, j]) == loop_iou(p, q)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ([0, 0, 1], [0, 0, 1, 1], "four numbers"),
        ([2, 0, 1, 1], [0, 0, 1, 1], r"\(2, 0, 1, 1\), which ends before it begins"),
        ([0, 0, 1, float("nan")], [0, 0, 1, 1], "NaN"),
        (torch.zeros(3, 4), torch.zeros(2, 4), "cannot be compared pair by pair"),
    ],
)
def test_iou_refuses_what_are_no_boxes(a, b, sentence):
    with pytest.raises(ValueError, match=sentence):
        loc.iou(a, b)


# ------------------------------------------------------------------------------------------ boxes


def test_the_box_is_around_the_largest_component_joined_by_corners():
    values = drawing(
        "##..5",
        "##.5.",
        "..5..",
        ".5...",
        "5....",
    )
    # at 0.6 the square of four; at 0.5 the square and the diagonal, which touch, are one
    assert loc.boxes_from_map(values, [0.5, 0.6]).tolist() == [[0, 0, 4, 4], [0, 0, 1, 1]]


def test_pixels_equal_to_the_threshold_count_and_none_above_gives_no_box():
    values = drawing("7..", "...")
    assert loc.boxes_from_map(values, [0.7, 0.8]).tolist() == [[0, 0, 0, 0], [-1, -1, -1, -1]]
    assert loc.boxes_from_map(values, 0.0).tolist() == [0, 0, 2, 1]


def test_boxes_of_many_maps_at_many_thresholds_equal_a_plain_loop():
    maps = random_maps(12, 7, 9)
    thresholds = [0.1, 0.25, 0.3, 0.5, 0.9, 1.0]
    found = loc.boxes_from_map(maps, thresholds)
    assert found.shape == (12, 6, 4)
    for (n, values), (i, t) in itertools.product(enumerate(maps.numpy()), enumerate(thresholds)):
        components = loop_components(values >= t)
        expected = loop_box(max(components, key=len)) if components else [-1] * 4
        assert found[n, i].tolist() == expected


def test_maps_are_not_joined_to_their_neighbours_in_the_stack():
    maps = torch.ones(3, 2, 2)
    maps[1] = 0
    assert loc.boxes_from_map(maps, 0.5).tolist() == [[0, 0, 1, 1], [-1] * 4, [0, 0, 1, 1]]


def test_many_maps_are_treated_in_parts_with_the_same_answer(monkeypatch):
    maps = random_maps(9, 6, 5)
    for convention in CONVENTIONS:
        whole = loc.boxes_from_map(maps, [0.2, 0.6], convention=convention)
        with monkeypatch.context() as patch:
            patch.setattr(loc.outlines, "PIXELS_AT_ONCE", 61)
            parts = loc.boxes_from_map(maps, [0.2, 0.6], convention=convention)
        assert torch.equal(parts, whole)


# ------------------------------------------------------------------------------------ MaxBoxAcc


def test_the_threshold_is_one_for_the_whole_data_set():
    bright = drawing("#5555", "55555", "55555")  # needs more than 0.5
    dim = drawing("4....", ".....", ".....")  # needs at most 0.4
    boxes = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0]])
    result = loc.max_box_accuracy(
        torch.stack([bright, dim]), boxes, thresholds=[0.1, 0.4, 0.6, 0.8]
    )
    assert float(result) == 0.5  # one image or the other, never both
    assert result.curve.tolist() == [0.5, 0.5, 0.5, 0.5]
    assert result.threshold == 0.1
    assert result.best_iou.tolist() == [1 / 15, 1]


def test_a_box_is_found_from_an_iou_of_exactly_delta():
    maps = torch.zeros(1, 4, 4)
    maps[0, :2, :2] = 1
    boxes = [[0, 0, 1, 3]]  # IoU 4/8
    assert float(loc.max_box_accuracy(maps, boxes, thresholds=[0.5])) == 1
    assert float(loc.max_box_accuracy(maps, boxes, thresholds=[0.5], delta=0.51)) == 0


def test_any_of_several_boxes_may_be_met():
    maps = torch.zeros(2, 4, 4)
    maps[:, 3, 3] = 1
    boxes = torch.tensor([[[0, 0, 1, 1], [3, 3, 3, 3]], [[0, 0, 1, 1], [1, 1, 1, 1]]])
    assert float(loc.max_box_accuracy(maps, boxes, thresholds=[0.5])) == 0.5


def found_at_random(truth, size, delta):
    """Share of the places of boxes of the true sizes at which one of the boxes is met."""
    height, width = size
    shares = []
    for boxes in truth:
        for x0, y0, x1, y1 in boxes.tolist():
            w, h = x1 - x0, y1 - y0
            places = itertools.product(range(width - w), range(height - h))
            ious = [loc.iou([x, y, x + w, y + h], boxes).max() >= delta for x, y in places]
            shares.append(sum(ious) / len(ious))
    return float(sum(shares) / len(shares))


def test_chance_of_finding_a_box_is_that_of_one_as_large_at_a_random_place():
    maps, boxes = random_maps(6, 7, 9), random_boxes(6, 2, 7, 9)
    by_hand = {delta: found_at_random(boxes, (7, 9), delta) for delta in (0.3, 0.5, 0.7)}
    one = loc.max_box_accuracy(maps, boxes, thresholds=[0.2, 0.5])
    assert one.chance == pytest.approx(by_hand[0.5])
    v2 = loc.max_box_accuracy_v2(maps, boxes, thresholds=[0.2, 0.5])
    assert [accuracy.chance for accuracy in v2.at.values()] == pytest.approx(list(by_hand.values()))
    assert v2.chance == pytest.approx(sum(by_hand.values()) / 3)
    assert loc.center_baseline(boxes, (7, 9), delta=(0.3, 0.7)).chance == pytest.approx(
        (by_hand[0.3] + by_hand[0.7]) / 2
    )


def test_a_box_as_large_as_the_image_is_found_by_chance_always(monkeypatch):
    monkeypatch.setattr(loc.chance, "PIXELS_AT_ONCE", 1)  # one image at a time
    boxes = [[0, 0, 3, 2], [0, 0, 3, 1]]  # the second has two places, and one is right
    result = loc.max_box_accuracy(torch.rand(2, 3, 4), boxes, thresholds=0.5, delta=0.5)
    assert result.chance == (1 + 1 / 2) / 2


def test_accuracies_over_images_and_thresholds_equal_a_plain_loop():
    maps, boxes = random_maps(30, 6, 8), random_boxes(30, 2, 6, 8)
    thresholds = [0.0, 0.25, 0.4, 0.5, 0.75, 0.9]
    for delta in (0.2, 0.5):
        expected = loop_accuracies(maps, boxes, thresholds, delta)
        result = loc.max_box_accuracy(maps, boxes, thresholds=thresholds, delta=delta)
        assert result.curve.tolist() == pytest.approx(expected)
        assert float(result) == pytest.approx(max(expected))
        assert result.threshold == thresholds[expected.index(max(expected))]


def test_a_threshold_chosen_on_other_images_gives_their_plain_accuracy():
    maps, boxes = random_maps(20, 6, 8), random_boxes(20, 1, 6, 8)[:, 0]
    chosen = loc.max_box_accuracy(maps[:10], boxes[:10], thresholds=[0.2, 0.5, 0.8], delta=0.2)
    held_out = loc.max_box_accuracy(maps[10:], boxes[10:], thresholds=chosen.threshold, delta=0.2)
    expected = loop_accuracies(maps[10:], boxes[10:, None], [chosen.threshold], 0.2)
    assert float(held_out) == pytest.approx(expected[0])


def test_single_precision_values_meet_the_threshold_they_were_rounded_from():
    maps = torch.zeros(1, 2, 2)
    maps[0, 0, 0] = 0.7  # less than 0.7 in double precision
    boxes = [[0, 0, 0, 0]]
    assert float(loc.max_box_accuracy(maps, boxes, thresholds=np.array([0.7]))) == 1


def test_version_two_is_the_mean_over_ious_each_at_its_best_threshold():
    maps = torch.stack([drawing("##55", "##55", "....", "....")] * 2)
    boxes = [[0, 0, 3, 1], [0, 0, 1, 1]]
    # box at 0.5: 8 pixels, IoU 1 and 1/2; at 1: 4 pixels, IoU 1/2 and 1
    result = loc.max_box_accuracy_v2(maps, boxes, thresholds=[0.5, 1.0])
    assert {delta: float(a) for delta, a in result.at.items()} == {0.3: 1, 0.5: 1, 0.7: 0.5}
    assert float(result) == pytest.approx((1 + 1 + 0.5) / 3)
    for delta, accuracy in result.at.items():
        alone = loc.max_box_accuracy(maps, boxes, thresholds=[0.5, 1.0], delta=delta)
        assert float(accuracy) == float(alone)
    assert f"{result:.1%}" == "83.3%"


# ----------------------------------------------------------------- the published code's conventions


def published(values, thresholds):
    return loc.boxes_from_map(values, thresholds, convention="published")


def test_published_boxes_end_a_pixel_late_where_the_image_allows():
    values = drawing("....", ".##.", ".##.", "....")
    assert published(values, 0.5).tolist() == [1, 1, 3, 3]
    assert published(drawing(".##", ".##"), 0.5).tolist() == [1, 0, 2, 1]


def test_published_thresholds_are_strict_and_relative_to_the_maximum_in_8_bits():
    # 0.5 -> 127, 0.25 -> 63; the threshold 0.5 is int(0.5 * 127) = 63, and 63 is not above it
    values = torch.tensor([[0.5, 0.25, 0.0, 0.0]])
    assert published(values, 0.5).tolist() == [0, 0, 1, 0]
    assert published(values, 0.49).tolist() == [0, 0, 2, 0]  # int(62.23) = 62: both


def test_published_ties_keep_the_last_in_reading_order():
    values = drawing("#....", ".....", "..##.")  # neither outline encloses anything
    assert published(values, 0.5).tolist() == [2, 2, 4, 2]


def test_published_maps_without_a_component_give_the_top_left_pixel():
    values = torch.zeros(1, 3, 3)
    assert published(values, [0.0, 0.5]).tolist() == [[[0, 0, 0, 0], [0, 0, 0, 0]]]
    found = loc.max_box_accuracy(values, [[0, 0, 0, 0]], thresholds=[0.5], convention="published")
    assert float(found) == 1
    assert float(loc.max_box_accuracy(values, [[0, 0, 0, 0]], thresholds=[0.5])) == 0


def test_published_largest_is_by_the_area_inside_the_outline():
    # a line of five pixels encloses nothing, a square of four encloses 1
    values = drawing("#####.", "......", ".##...", ".##...", "......")
    assert published(values, 0.5).tolist() == [1, 2, 3, 4]
    assert loc.boxes_from_map(values, 0.5).tolist() == [0, 0, 4, 0]
    # a ring of eight encloses 4 with its hole; a block of six encloses 2
    ring = drawing("###....", "#.#.###", "###.###", ".......")
    assert published(ring, 0.5).tolist() == [0, 0, 3, 3]


def test_published_version_two_matches_any_component_and_any_hole():
    values = drawing(
        "#####....",
        "#####..#.",
        "##.##....",
        "#####....",
        "#####....",
    )[None]
    options = {"thresholds": [0.5], "deltas": (0.99,)}
    speck = [[7, 1, 8, 2]]  # the single pixel, a pixel late on both sides
    assert float(loc.max_box_accuracy_v2(values, speck, convention="published", **options)) == 1
    assert float(loc.max_box_accuracy_v2(values, speck, **options)) == 0
    hole = [[1, 1, 4, 4]]  # the pixels around the hole, a pixel late
    assert float(loc.max_box_accuracy_v2(values, hole, convention="published", **options)) == 1


def opencv_boxes(values, threshold, every):
    """The published procedure on OpenCV's own contours."""
    cv2 = pytest.importorskip("cv2")
    grey = (values * 255).astype(np.uint8)
    cut = int(threshold * np.max(grey))
    binary = cv2.threshold(grey, cut, 255, cv2.THRESH_BINARY)[1]
    contours = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    if not contours:
        return [[0, 0, 0, 0]]
    if not every:
        contours = [max(contours, key=cv2.contourArea)]
    boxes = []
    for x, y, w, h in map(cv2.boundingRect, contours):
        boxes.append([x, y, min(x + w, values.shape[1] - 1), min(y + h, values.shape[0] - 1)])
    return boxes


@pytest.mark.parametrize("levels", [2, 3, 9])
def test_the_published_convention_equals_opencv_on_random_maps(levels):
    maps = random_maps(60, 11, 13, levels).float()
    maps[:20] = torch.nn.functional.interpolate(maps[:20, None, :6, :7], (11, 13))[:, 0]
    thresholds = [0.0, 0.2, 0.5, 0.7]
    largest = published(maps, thresholds)
    boxes = random_boxes(60, 2, 11, 13)
    best = loc.max_box_accuracy_v2(
        maps, boxes, thresholds=thresholds, deltas=(0.2, 0.5), convention="published"
    )
    expected = np.zeros((60, 4))
    for (n, values), (i, t) in itertools.product(enumerate(maps.numpy()), enumerate(thresholds)):
        assert largest[n, i].tolist() == opencv_boxes(values, t, every=False)[0]
        candidates = opencv_boxes(values, t, every=True)
        truth = boxes[n].tolist()
        expected[n, i] = max(loop_iou(a, b) for a in candidates for b in truth)
    for delta, accuracy in best.at.items():
        assert accuracy.curve.tolist() == pytest.approx((expected >= delta).mean(0))


# ------------------------------------------------------------------------------------------- PxAP


def test_pixel_precision_equals_scikit_learns_average_precision_on_pooled_pixels():
    maps, masks = random_maps(8, 6, 7, levels=30), torch.rand(8, 6, 7) > 0.7
    expected = average_precision_score(masks.flatten(), maps.flatten())
    assert float(loc.pixel_average_precision(maps, masks)) == pytest.approx(expected)
    # scores are pooled: the mean over images is something else
    pairs = zip(maps, masks, strict=True)
    each = [float(loc.pixel_average_precision(m[None], k[None])) for m, k in pairs]
    assert np.mean(each) != pytest.approx(expected, abs=1e-3)


def test_pixel_precision_at_given_thresholds_has_the_curve_there_only():
    maps = torch.tensor([[[0.9, 0.8], [0.3, 0.1]]])
    masks = torch.tensor([[[True, False], [True, False]]])
    result = loc.pixel_average_precision(maps, masks, thresholds=[0.2, 0.5])
    # at 0.5: two pixels, one right; at 0.2: three, two right
    assert result.precision.tolist() == pytest.approx([1 / 2, 2 / 3])
    assert result.recall.tolist() == [0.5, 1]
    assert float(result) == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 3)


def test_published_pixel_precision_equals_histograms():
    maps, masks = torch.rand(5, 6, 7), torch.rand(5, 6, 7) > 0.6
    maps[0, 0, :3] = 1.0
    for thresholds in (None, [0.0, 0.3, 0.6], [0.2, 0.4]):
        levels = np.arange(0, 1, 0.001) if thresholds is None else thresholds
        edges = [*levels, 1.0, 2.0, 3.0]
        right = np.histogram(maps[masks].double().numpy(), edges)[0][::-1].cumsum()
        wrong = np.histogram(maps[~masks].double().numpy(), edges)[0][::-1].cumsum()
        precision = right / np.maximum(right + wrong, 1)
        expected = (precision[1:] * np.diff(right / right[-1])).sum()
        result = loc.pixel_average_precision(
            maps, masks, thresholds=thresholds, convention="published"
        )
        assert float(result) == pytest.approx(expected)


def test_masks_of_several_objects_are_joined_and_ignored_pixels_do_not_count():
    maps = torch.tensor([[[0.9, 0.8], [0.3, 0.1]]])
    masks = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    masks[0, 0, 0, 0] = masks[0, 1, 1, 0] = True
    joined = loc.pixel_average_precision(maps, masks)
    assert float(joined) == float(loc.pixel_average_precision(maps, masks.any(1)))
    ignore = torch.tensor([[[False, True], [False, False]]])
    assert float(loc.pixel_average_precision(maps, masks, ignore=ignore)) == 1


# ------------------------------------------------------------------------------------------ games


def test_the_pointing_game_counts_maxima_inside_any_box():
    maps = torch.zeros(4, 3, 3)
    maps[range(4), [0, 1, 2, 2], [0, 1, 2, 0]] = 5.0
    boxes = torch.tensor([[[0, 0, 1, 1], [2, 2, 2, 2]]] * 4)
    result = loc.pointing_game(maps - 2, boxes)
    assert result.scores.tolist() == [1, 1, 1, 0]
    assert float(result) == 0.75
    assert result.chance == pytest.approx(5 / 9)
    assert result.center == 1
    assert not result.flat.any()


def test_a_shared_maximum_scores_its_share_and_a_flat_map_chance():
    maps = torch.stack([drawing("#..", "..#"), drawing("444", "444")])
    result = loc.pointing_game(maps, [[0, 0, 1, 0], [0, 0, 1, 0]])
    assert result.scores.tolist() == pytest.approx([1 / 2, 2 / 6])
    assert result.flat.tolist() == [False, True]


def test_the_energy_game_is_the_share_inside_the_boxes_counted_once():
    maps = torch.tensor([[[1.0, 2.0, 0.0], [3.0, 4.0, -100.0]]])
    boxes = torch.tensor([[[0, 0, 1, 0], [1, 0, 2, 1]]])  # they share the pixel of 2
    result = loc.energy_game(maps, boxes)
    assert float(result) == pytest.approx((1 + 2 + 4) / 10)
    assert result.chance == pytest.approx(5 / 6)


def test_a_map_without_energy_scores_zero_and_is_flagged():
    maps = torch.stack([torch.full((2, 2), -1.0), torch.ones(2, 2)])
    result = loc.energy_game(maps, [[0, 0, 0, 0]] * 2)
    assert result.scores.tolist() == [0, 0.25]
    assert result.flat.tolist() == [True, False]


def test_games_take_any_finite_scale():
    maps, boxes = torch.rand(5, 6, 6), random_boxes(5, 1, 6, 6)
    for game in (loc.pointing_game, loc.energy_game):
        assert float(game(maps * 1e30, boxes)) == pytest.approx(float(game(maps, boxes)))


# -------------------------------------------------------------------------------------- baselines


def test_the_centre_map_falls_with_the_distance_from_the_centre():
    values = loc.center_map(3)
    assert values[1, 1] == 1
    assert values[0, 0] == values[2, 2] == 0
    assert float(values[0, 1]) == pytest.approx(1 - 1 / 2**0.5)
    assert loc.center_map((2, 2)).tolist() == [[0, 0], [0, 0]]
    assert loc.center_map(1).tolist() == [[1]]


def test_the_best_centre_box_equals_a_search_over_all_of_them():
    boxes = random_boxes(15, 2, 5, 6)
    result = loc.center_baseline(boxes, (5, 6), delta=(0.3, 0.6))
    for delta, share in result.at.items():
        best = 0.0
        for w, h in itertools.product(range(1, 7), range(1, 6)):
            x, y = (6 - w) / 2, (5 - h) / 2
            centred = torch.tensor([x, y, x + w - 1, y + h - 1])
            best = max(best, float((loc.iou(boxes, centred).amax(1) >= delta).double().mean()))
        assert share == pytest.approx(best)
    assert float(result) == pytest.approx(sum(result.at.values()) / 2)


def test_a_centred_object_is_found_by_the_centre_alone():
    result = loc.center_baseline([[1, 2, 2, 3]], (6, 4), delta=1.0)
    assert float(result) == 1
    assert result.sizes == {1.0: (2, 2)}
    assert result.chance == 1 / (5 * 3)  # of the places of 2×2 pixels


# ------------------------------------------------------------------------------------------ stored


def test_each_case_that_is_stored_has_four_seeds_with_the_same_measures():
    runs = loc.stored_runs()
    for case in {(run["case"], run["jump"]) for run in runs}:
        same = [run for run in runs if (run["case"], run["jump"]) == case]
        assert [run["seed"] for run in same] == [0, 1, 2, 3]
        assert len({tuple(run) for run in same}) == 1
        shares = [run[name] for run in same for name in ("error", "pointing", "V2", "PxAP")]
        assert all(0 <= share <= 1 for share in shares)
    about = json.loads(STORED.read_text(encoding="utf-8"))
    assert {"date", "commit", "machine"} < about.keys()


# --------------------------------------------------------------------------------------- bad input

MAPS = torch.rand(2, 4, 5)
BOXES = torch.tensor([[0, 0, 1, 1], [2, 2, 4, 3]])


@pytest.mark.parametrize(
    ("changed", "error", "sentence"),
    [
        ({"maps": MAPS[0]}, ValueError, r"shape \(4, 5\) instead of \(N, H, W\)"),
        ({"maps": MAPS[:0]}, ValueError, r"shape \(0, 4, 5\)"),
        ({"maps": MAPS * torch.nan}, ValueError, "maps contain NaN"),
        ({"maps": MAPS * 3 + 1}, ValueError, "instead of from 0 to 1"),
        ({"maps": -MAPS}, ValueError, "instead of from 0 to 1"),
        ({"maps": MAPS.to(torch.complex64)}, TypeError, "complex"),
        ({"maps": [[1.0], [1.0, 2.0]]}, TypeError, "regular array"),
        ({"maps": "a map"}, TypeError, "not a regular array of numbers"),
        ({"boxes": BOXES[:1]}, ValueError, "there are 2 and 1"),
        ({"boxes": BOXES[:, :3]}, ValueError, "four numbers per box"),
        ({"boxes": BOXES[0]}, ValueError, r"should have \(N, 4\) or \(N, D, 4\)"),
        ({"boxes": torch.zeros(2, 0, 4)}, ValueError, r"shape \(2, 0, 4\)"),
        ({"boxes": BOXES + 1}, ValueError, r"box \(3, 3, 5, 4\) of image 1 lies outside its 5×4"),
        ({"boxes": BOXES - 1}, ValueError, "of image 0 lies outside"),
        ({"boxes": BOXES[:, [2, 3, 0, 1]]}, ValueError, "ends before it begins"),
        ({"boxes": BOXES * torch.nan}, ValueError, "boxes contain NaN"),
        ({"thresholds": [0.5, 0.2]}, ValueError, r"with 0\.2 after 0\.5"),
        ({"thresholds": [0.5, 0.5]}, ValueError, "out of order"),
        ({"thresholds": [0.5, 1.5]}, ValueError, r"they must lie in \[0, 1\]"),
        ({"thresholds": [-0.1]}, ValueError, r"they must lie in \[0, 1\]"),
        ({"thresholds": []}, ValueError, "at least one"),
        ({"thresholds": [[0.1, 0.2]]}, ValueError, "at least one number, in one dimension"),
        ({"thresholds": [float("nan")]}, ValueError, "thresholds contain NaN"),
        ({"convention": "other"}, ValueError, "one of 'standard', 'published'"),
    ],
)  # fmt: skip
def test_bad_input_meets_one_clear_sentence(changed, error, sentence):
    arguments = {"maps": MAPS, "boxes": BOXES, "thresholds": [0.2, 0.5], **changed}
    maps, boxes = arguments.pop("maps"), arguments.pop("boxes")
    for measure in (loc.max_box_accuracy, loc.max_box_accuracy_v2):
        with pytest.raises(error, match=sentence) as refusal:
            measure(maps, boxes, **arguments)
        assert re.search(r"\.$", str(refusal.value))


@pytest.mark.parametrize(
    ("delta", "error", "sentence"),
    [
        (0, ValueError, r"from 0 to 0: they must lie in \(0, 1\]"),
        (1.1, ValueError, r"they must lie in \(0, 1\]"),
        ("0.5", TypeError, "IoUs to reach are not a regular array"),
        (None, TypeError, "IoUs to reach are not a regular array"),
    ],
)
def test_an_iou_to_reach_outside_its_range_is_refused(delta, error, sentence):
    with pytest.raises(error, match=sentence):
        loc.max_box_accuracy(MAPS, BOXES, thresholds=[0.5], delta=delta)
    with pytest.raises(error, match=sentence):
        loc.center_baseline(BOXES, (4, 5), delta=delta)
    with pytest.raises(ValueError, match=r"IoUs to reach are out of order, with 0\.3 after 0\.9"):
        loc.max_box_accuracy_v2(MAPS, BOXES, thresholds=[0.5], deltas=(0.9, 0.3))


def test_boxes_outside_the_image_and_bad_sizes_are_refused_by_the_games_and_baselines():
    for game in (loc.pointing_game, loc.energy_game):
        with pytest.raises(ValueError, match="outside its 5×4 pixels"):
            game(MAPS, BOXES + 1)
        with pytest.raises(ValueError, match="maps contain NaN"):
            game(MAPS * torch.nan, BOXES)
    with pytest.raises(ValueError, match="outside its 5×3 pixels"):
        loc.center_baseline(BOXES, (3, 5))
    with pytest.raises(ValueError, match="positive integer"):
        loc.center_map(0)


def test_masks_that_do_not_fit_are_refused():
    masks = MAPS > 0.5
    with pytest.raises(ValueError, match="the two should be the same"):
        loc.pixel_average_precision(MAPS, masks[:1])
    with pytest.raises(ValueError, match="values other than 0 and 1"):
        loc.pixel_average_precision(MAPS, masks * 2)
    with pytest.raises(ValueError, match="no pixel of an object"):
        loc.pixel_average_precision(MAPS, masks & False)
    with pytest.raises(ValueError, match="masks to ignore"):
        loc.pixel_average_precision(MAPS, masks, ignore=masks[0])


def test_lists_arrays_and_tensors_give_the_same_answer():
    expected = float(loc.max_box_accuracy(MAPS, BOXES, thresholds=[0.2, 0.5], delta=0.1))
    for convert in (torch.Tensor.tolist, torch.Tensor.numpy, lambda t: t.clone().requires_grad_()):
        maps = convert(MAPS)
        boxes = BOXES.tolist() if isinstance(maps, list) else BOXES.numpy()
        thresholds = torch.tensor([0.2, 0.5], dtype=torch.float64)
        found = loc.max_box_accuracy(maps, boxes, thresholds=thresholds, delta=0.1)
        assert float(found) == expected
