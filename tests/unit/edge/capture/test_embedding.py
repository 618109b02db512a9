"""Embedding: unit parts, fusion, and one inner product for any number of embedders."""

import numpy as np
import pytest

from edge.capture.embedding import fuse, mean_direction, similarity
from edge.capture.pipeline import Observation
from edge.capture.sample import AlignedFace, Probe
from tests.doubles.capture_people import observed, pipeline, probed


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def test_a_probe_is_of_unit_length_and_of_the_packs_recipe() -> None:
    probe = probed("obama.jpg")
    assert probe.recipe_digest == pipeline().recipe_digest
    assert probe.vector.shape == (pipeline().manifest.dimensions,)
    assert np.linalg.norm(probe.vector) == pytest.approx(1.0, abs=1e-5)


def test_a_mirrored_face_gives_the_same_probe() -> None:
    observation = observed("obama.jpg")
    mirrored = tuple(
        AlignedFace(np.ascontiguousarray(face.image[:, ::-1]), face.recipe) for face in observation.aligned
    )
    other = pipeline().embed(
        Observation(observation.frame, observation.face, observation.points, mirrored, observation.quality)
    )
    assert similarity(other.vector, probed("obama.jpg").vector) == pytest.approx(1.0, abs=1e-5)


def test_similarity_is_the_weighted_sum_of_the_parts_cosines() -> None:
    one = Probe((unit(1, 0), unit(1, 2, 3)), (0.3, 0.7), "r", 1)
    other = Probe((unit(1, 1), unit(-1, 2, 0)), (0.3, 0.7), "r", 1)
    cosines = [float(a @ b) for a, b in zip(one.parts, other.parts, strict=True)]
    assert similarity(one.vector, other.vector) == pytest.approx(0.3 * cosines[0] + 0.7 * cosines[1])
    assert np.linalg.norm(one.vector) == pytest.approx(1.0)


def test_frames_are_fused_part_by_part_and_normalised_again() -> None:
    fused = fuse([Probe((unit(1, 0),), (1.0,), "r", 1), Probe((unit(0, 1),), (1.0,), "r", 2)])
    np.testing.assert_allclose(fused.parts[0], unit(1, 1))
    assert fused.frames == 3


def test_a_longer_descriptor_counts_no_more_than_another() -> None:
    np.testing.assert_allclose(
        mean_direction(np.array([(100, 0), (0, 1)], np.float32)), unit(1, 1), rtol=1e-6
    )


def test_a_descriptor_of_nought_gives_numbers() -> None:
    assert np.isfinite(mean_direction(np.zeros((2, 4), np.float32))).all()


def test_probes_of_different_recipes_are_never_fused() -> None:
    with pytest.raises(ValueError, match="one recipe"):
        fuse([Probe((unit(1, 0),), (1.0,), "r", 1), Probe((unit(0, 1),), (1.0,), "s", 1)])


def test_two_photographs_of_one_person_are_more_alike_than_any_of_two_people() -> None:
    mated = similarity(probed("obama2.jpg").vector, probed("obama3.jpg").vector)
    others = ["biden.jpg", "grace_hopper.jpg", "astronaut.png"]
    non_mated = [similarity(probed("obama2.jpg").vector, probed(name).vector) for name in others]
    assert mated > max(non_mated) + 0.05
