"""Choices that spread over the pool: from one vector an image to the next queries, without scores.

Both compare vectors by Euclidean distance as they are given; neither depends on the order of the images.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from activelabel.acquisition.selection import Id

# scikit-learn and scipy's distances take seconds to import, and only these strategies need them.
if TYPE_CHECKING:
    from sklearn.cluster import KMeans, MiniBatchKMeans

_NEIGHBOURS = 20  # Hacohen et al. 2022, 3.2
_EXACT_CLUSTERS = 50  # as in the authors' experiments
_MOST_CLUSTERS = 500  # more clusters would take minutes, and each would hold hardly any image
_BLOCK = 64


def typiclust(features: Mapping[Id, ArrayLike], k: int, seed: int, chosen: Collection[Id] = ()) -> list[Id]:
    """The most typical image of each of k clusters, that of the largest cluster first (Hacohen et al. 2022, TypiClust).

    An image is typical if its mean distance to its 20 nearest neighbours in its cluster is small, or to all others of
    the cluster where there are fewer. k-means makes the clusters, begun ten times from `seed`; its variant in batches
    makes more than 50. Of equal clusters, the one whose most typical image has the smaller id comes first. Where
    k-means finds fewer than k of them, as it does among equal vectors, the largest clusters give their second most
    typical image, and so on.

    Each `chosen` image adds a cluster, up to 500 in all, and clusters with fewer chosen images come first: a query is
    then of another kind than the annotated images (section 3.2 there).

    Args:
        features: a vector of one length for each image, those that are chosen already included.
        k: how many to choose beside them.
        seed: of k-means, 0 or more.
        chosen: ids of images that are annotated already.

    Returns:
        Always min(k, n) distinct ids, n the images that were not chosen, ties by id.

    Raises:
        ValueError: k is negative, vectors differ in length, one holds a NaN or infinity (the text names its id), or a
            chosen id has no vector.
    """
    ids, vectors = _matrix(features)
    covered = _chosen_rows(ids, chosen)
    k = min(_checked_count(k), len(ids) - int(covered.sum()))
    if k == 0:
        return []
    wanted = max(min(k + int(covered.sum()), _MOST_CLUSTERS), k)
    distinct = len(np.unique(vectors, axis=0))
    assigned = _clustering(wanted, distinct, seed).fit_predict(vectors)
    clusters = []
    for cluster in np.unique(assigned):
        inside, annotated = np.flatnonzero((assigned == cluster) & ~covered), int(covered[assigned == cluster].sum())
        if len(inside):
            clusters.append((annotated, inside[np.argsort(_mean_distances(vectors[inside]), kind="stable")]))
    clusters.sort(key=lambda cluster: (cluster[0], -len(cluster[1]), cluster[1][0]))
    in_turn = [(annotated + place, index) for annotated, inside in clusters for place, index in enumerate(inside)]
    in_turn.sort(key=lambda item: item[0])  # the next image of a cluster counts as if the one before were annotated
    return [ids[index] for _, index in in_turn[:k]]


def _clustering(wanted: int, distinct: int, seed: int) -> "KMeans | MiniBatchKMeans":
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if wanted > _EXACT_CLUSTERS:
        return MiniBatchKMeans(min(wanted, distinct), n_init=3, random_state=seed)
    return KMeans(min(wanted, distinct), n_init=10, random_state=seed)


def coreset(features: Mapping[Id, ArrayLike], k: int, chosen: Collection[Id] = ()) -> list[Id]:
    """Again and again the image farthest from all chosen so far (Sener and Savarese 2018, k-centre greedy).

    Without any `chosen`, the first is the image nearest to the mean of all vectors: the paper begins with some.

    Args:
        features: a vector of one length for each image, those that are chosen already included.
        k: how many to choose beside them.
        chosen: ids of images that are annotated already.

    Returns:
        Always min(k, n) distinct ids, n the images that were not chosen, in the order of choice; ties by id.

    Raises:
        ValueError: as `typiclust`, or a chosen id has no vector.
    """
    ids, vectors = _matrix(features)
    covered = _chosen_rows(ids, chosen)
    k = min(_checked_count(k), len(ids) - int(covered.sum()))
    if k == 0:
        return []
    centres = np.flatnonzero(covered).tolist()
    order: list[int] = []
    if not centres:
        order = [int(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argmin())]
    from scipy.spatial.distance import cdist

    nearest = np.full(len(ids), np.inf)
    for first in range(0, len(centres + order), _BLOCK):  # all at once would not fit into memory where slices are many
        block = (centres + order)[first : first + _BLOCK]
        nearest = np.minimum(nearest, cdist(vectors, vectors[block]).min(axis=1))
    nearest[centres + order] = -1.0  # A chosen image is never chosen again, even where all others lie on a centre.
    while len(order) < k:
        farthest = int(nearest.argmax())
        order.append(farthest)
        nearest = np.minimum(nearest, cdist(vectors, vectors[[farthest]])[:, 0])
        nearest[farthest] = -1.0
    return [ids[index] for index in order]


def _mean_distances(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean distance of each vector to its nearest neighbours among the others; 0 for a single vector."""
    neighbours = min(_NEIGHBOURS, len(vectors) - 1)
    if neighbours == 0:
        return np.zeros(1)
    from sklearn.neighbors import NearestNeighbors

    distances, _ = NearestNeighbors(n_neighbors=neighbours).fit(vectors).kneighbors()
    return np.asarray(distances, dtype=np.float64).mean(axis=1)


def _matrix(features: Mapping[Id, ArrayLike]) -> tuple[list[Id], NDArray[np.float64]]:
    """The ids in order, and their vectors as rows."""
    ids = sorted(features)
    rows = [np.asarray(features[id], dtype=np.float64) for id in ids]
    for id, row in zip(ids, rows, strict=True):
        if row.ndim != 1 or row.shape != rows[0].shape:
            raise ValueError(
                f"the features of {id!r} have shape {row.shape}, expected one vector of {rows[0].size} numbers"
            )
        if not np.isfinite(row).all():
            raise ValueError(f"the features of {id!r} hold a NaN or infinity: it cannot be compared")
    return ids, np.stack(rows) if rows else np.empty((0, 0))


def _chosen_rows(ids: Sequence[Id], chosen: Collection[Id]) -> NDArray[np.bool_]:
    """Which of the rows are chosen already."""
    wanted = set(chosen)
    unknown = sorted(wanted.difference(ids))
    if unknown:
        raise ValueError(f"chosen: {unknown[0]!r} has no features")
    return np.array([id in wanted for id in ids], dtype=bool)


def _checked_count(k: int) -> int:
    if k < 0:
        raise ValueError(f"k must be 0 or more, got {k}")
    return k
