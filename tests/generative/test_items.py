"""Items as they come in."""

import numpy as np
import pytest

from hashlearn.generative.gan import GAN


def test_no_images_are_refused_as_no_rows_are():
    for none in (np.ones((0, 8, 8)), np.ones((0, 8, 8, 3), np.uint8), np.ones((0, 5))):
        with pytest.raises(ValueError, match="0 sample"):
            GAN(device="cpu").fit(none)
