"""The two axes of a convolution.

Along one axis, an output o is the sum over weights t of k[t] x[p], at the pixels p with

    dilation of the image * p  =  stride * o + dilation of the kernel * t - padding.
"""

from typing import NamedTuple


class Axis(NamedTuple):
    """Height or width of a convolution. A dilation of 2 puts a zero between neighbouring pixels, or weights."""

    stride: int
    before: int  # zeros at each end; a negative number crops
    after: int
    image_dilation: int
    kernel_dilation: int

    def last_position(self, pixels: int, weights: int) -> int:
        """Returns the largest position of the kernel. The first is 0, and outputs are `stride` positions apart."""
        image = spread(pixels, self.image_dilation) + self.before + self.after
        return image - spread(weights, self.kernel_dilation)

    def outputs(self, pixels: int, weights: int) -> int:
        """Returns the number of outputs."""
        return self.last_position(pixels, weights) // self.stride + 1

    @property
    def factor(self) -> int:
        """Stride or dilation, whichever is not 1."""
        return max(self.stride, self.image_dilation, self.kernel_dilation)

    @property
    def factors(self) -> int:
        """Number of strides and dilations that are not 1. Only derivatives of derivatives have more than one."""
        return sum(size > 1 for size in (self.stride, self.image_dilation, self.kernel_dilation))

    @property
    def dilated(self) -> bool:
        """Whether there are zeros between pixels or weights."""
        return self.image_dilation > 1 or self.kernel_dilation > 1


Axes = tuple[Axis, Axis]


def spread(size: int, dilation: int) -> int:
    """Returns the length of `size` numbers with `dilation` - 1 zeros between neighbours."""
    return (size - 1) * dilation + 1
