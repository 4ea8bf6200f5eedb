"""By how many GPUs a training can be shared; without TensorFlow, for who plans or reserves them."""


def gpus_that_share(micro_batch: int, gpus: int) -> int:
    """Return by how many GPUs a training can be shared: the most, up to ``gpus``, that divide a micro-batch evenly.

    Equal shares, so that a mean over the GPUs' means is that over the micro-batch. Whole pictures (``crop: null``) come
    one by one, which one GPU takes. No GPU (``gpus`` 0) shares nothing: 0.
    """
    return max((n for n in range(1, gpus + 1) if micro_batch % n == 0), default=0)
