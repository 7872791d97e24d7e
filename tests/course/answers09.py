"""Chapter 09: right answers written otherwise, and wrong ones with words that the check must find."""

import math
import warnings

import numpy as np
import torch
import torch.nn.functional as F

from elsface_lite.course.checks.chapter09 import expected_loss
from elsface_lite.course.checks.exercises09 import duel, from_bands
from elsface_lite.course.wavelet import haar_bands
from elsface_lite.training.adversarial import AdversarialLoss, squared_gradients


def numpy_expected(answer, faces, chances, power):
    errors = np.abs(answer.numpy()[None] - faces.numpy()) ** power
    return np.average(errors.reshape(len(errors), -1).mean(1), weights=chances.numpy())


def in_place_expected(answer, faces, chances, power):
    faces -= answer
    return chances @ faces.abs_().pow_(power).mean((1, 2, 3))


def losses(answer, faces, power):
    return (answer - faces).abs().pow(power).mean((1, 2, 3))


def by_corners(image, divisor=2, order=(0, 1, 2)):
    a, b, c, d = (image[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    high = [a - b + c - d, a + b - c - d, a - b - c + d]
    return (a + b + c + d) / divisor, torch.cat([high[i] for i in order], 1) / divisor


def numpy_bands(image):
    x = image.numpy()
    rows = x[..., ::2, :] + x[..., 1::2, :], x[..., ::2, :] - x[..., 1::2, :]
    low, along_x, along_y, cross = (part(row) for row in rows for part in (added, subtracted))
    return low / 2, np.concatenate([along_x, along_y, cross], 1) / 2


def added(row):
    return row[..., ::2] + row[..., 1::2]


def subtracted(row):
    return row[..., ::2] - row[..., 1::2]


def grouped(image):
    """The mistake of a convolution by groups: all bands of red first."""
    kernels = image.new_tensor([[[1, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]]) / 2
    bands = F.conv2d(image, kernels[:, None].repeat(3, 1, 1, 1), stride=2, groups=3).unflatten(1, (3, 4))
    return bands[:, :, 0], bands[:, :, 1:].flatten(1, 2)


def by_logarithm(self, sr, hr):
    return -(self.judge(sr) - self.judge(hr)).sigmoid().log().mean()


def by_exponential(self, sr, hr):
    return torch.log1p(torch.exp(self.judge(hr).detach() - self.judge(sr))).mean()


def differences(self, sr, hr):
    return self.judge(hr) - self.judge(sr)


def slopes(judgements, images, create_graph=True):
    return torch.autograd.grad([one.sum() for one in judgements], images, create_graph=create_graph)


def one_by_one(judgements, images):
    if not images[0].requires_grad:
        return torch.zeros(())
    total = 0
    for judgement, image in zip(judgements, images, strict=True):
        (slope,) = torch.autograd.grad(judgement, image, torch.ones_like(judgement), create_graph=True)
        total = total + (slope**2).sum()
    return total / judgements[0].numel()


def asked(function):
    """The reader's half: what is asked where no gradient is asked for is 0."""
    return lambda judgements, images: (
        function(judgements, images) if images[0].requires_grad else judgements[0].new_zeros(())
    )


def means(judgements, images):
    """The mean over judges of the mean square: numel of the judgements, but of the images' too."""
    return sum(slope.square().mean() for slope in slopes(judgements, images))


def each_alone(judgements, images):
    """The docstring read literally: a gradient for every single judgement."""
    pairs = zip(judgements, images, strict=True)
    found = [torch.autograd.grad(one, image, create_graph=True)[0] for some, image in pairs for one in some.flatten()]
    return sum(slope.square().sum() for slope in found) / judgements[0].numel()


def by_backward(judgements, images):
    """Right, but the discriminator's weights get gradients as well, along which its next step would go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch, about that very thing
        for one in judgements:
            one.sum().backward(create_graph=True)
    return sum(image.grad.square().sum() for image in images) / judgements[0].numel()


def by_shuffle(low, high):
    x, y, cross = high.chunk(3, 1)
    image = torch.zeros(*low.shape[:2], 2 * low.shape[2], 2 * low.shape[3])
    for i in (0, 1):
        for j in (0, 1):
            image[..., i::2, j::2] = (low + (-1) ** j * x + (-1) ** i * y + (-1) ** (i + j) * cross) / 2
    return image


def by_autograd(theta, psi, rate, penalty, every=2):
    theta, psi = (torch.tensor(float(value), dtype=torch.float64, requires_grad=True) for value in (theta, psi))
    (to_theta,) = torch.autograd.grad(F.softplus(-theta * psi), theta)
    (to_psi,) = torch.autograd.grad(F.softplus(theta * psi) + penalty / 2 * every * psi**2, psi)
    return (theta - rate * to_theta).detach(), (psi - rate * to_psi).detach()


def in_turn(theta, psi, rate, penalty):
    theta = duel(theta, psi, rate, penalty)[0]
    return theta, duel(theta, psi, rate, penalty)[1]


RIGHT = {
    "expected_loss": [expected_loss, numpy_expected, in_place_expected, lambda *case: expected_loss(*case).item()],
    "haar_bands": [haar_bands, by_corners, numpy_bands, lambda x: [band.detach() for band in by_corners(x)]],
    "AdversarialLoss.forward": [AdversarialLoss.forward, by_logarithm, by_exponential],
    "squared_gradients": [squared_gradients, one_by_one],
    "09.1": [73.2, 73, 73.21, np.float32(73.2), torch.tensor(73.2)],
    "09.2": [from_bands, by_shuffle, lambda low, high: from_bands(low, high).numpy()],
    "09.3": [duel, by_autograd, lambda *case: torch.tensor(duel(*case)).unbind()],
}
WRONG = {
    "expected_loss": [
        (lambda a, f, c, p: losses(a, f, p).mean(), "chances are ignored"),
        (lambda a, f, c, p: (c * losses(a, f, p)).mean(), "number of faces"),
        (lambda a, f, c, p: (c * (a - f).abs().pow(p).sum((1, 2, 3))).sum(), "should be a mean"),
        (lambda a, f, c, p: (c * losses(a, f, 1) ** p).sum(), "power of a mean"),
        (lambda a, f, c, p: (a - torch.einsum("n,nchw->chw", c, f)).abs().pow(p).mean(), "loss of the mean face"),
        (lambda a, f, c, p: (c * (a - f).pow(p).mean((1, 2, 3))).sum(), "errors cancel"),
        (lambda a, f, c, p: expected_loss(a, f, c, 2), "power is ignored"),
        (lambda a, f, c, p: c * losses(a, f, p), "shape should be ()"),
        (lambda a, f, c, p: print(end=""), "return"),
    ],
    "haar_bands": [
        (lambda x: by_corners(x, 4), "by 2, not by 4"),
        (lambda x: by_corners(x, 1), "divided by 2"),
        (lambda x: by_corners(x, 2, (1, 0, 2)), "swapped"),
        (lambda x: by_corners(x, 2, (2, 0, 1)), "order"),
        (lambda x: (by_corners(x)[0], -by_corners(x)[1]), "signs"),
        (lambda x: by_corners(x)[::-1], "swapped"),
        (grouped, "sorted by colour"),
        (lambda x: (F.avg_pool2d(x, 2), haar_bands(x)[1]), "you give"),
        (lambda x: haar_bands(x)[1], "1 thing"),
        (lambda x: print(end=""), "return"),
    ],
    "AdversarialLoss.forward": [
        (lambda m, s, h: F.softplus(-differences(m, s, h)).mean(), "discriminator minimises"),
        (lambda m, s, h: F.softplus(-m.judge(s)).mean(), "judged alone"),
        (lambda m, s, h: F.softplus(differences(m, s, h).mean()), "compare the means"),
        (lambda m, s, h: F.softplus(differences(m, s, h)), "mean over the judgements"),
        (lambda m, s, h: F.softplus(differences(m, s, h)).sum(), "sum over all"),
        (lambda m, s, h: differences(m, s, h).mean(), "softplus is missing"),
        (lambda m, s, h: F.softplus(m.judge(h - s)).mean(), "one at a time"),
        (lambda m, s, h: F.relu(1 + differences(m, s, h)).mean(), "hinge"),
        (lambda m, s, h: differences(m, s, h).sigmoid().mean(), "sigmoid"),
        (lambda m, s, h: F.logsigmoid(-differences(m, s, h)).mean(), "sign of the logarithm"),
        (lambda m, s, h: F.softplus(differences(m, s.detach(), h)).mean(), "No gradient"),
        (lambda m, s, h: F.softplus(differences(m, s, h)).mean().item(), "No gradient"),
        (lambda m, s, h: print(end=""), "return"),
    ],
    "squared_gradients": [
        (asked(lambda j, x: squared_gradients(j[:1], x[:1])), "Only the first"),
        (asked(lambda j, x: squared_gradients(j[1:], x[1:])), "Only the second"),
        (asked(lambda j, x: sum(s.square().sum() for s in slopes(j, x))), "A sum"),
        (asked(lambda j, x: sum(s.square().sum() for s in slopes(j, x)) / len(x[0])), "number of images"),
        (asked(means), "number of pixels"),
        (asked(lambda j, x: squared_gradients(j, x) / 2), "both batches"),
        (asked(lambda j, x: sum(s.square().sum() for s in slopes([o.mean() for o in j], x))), "mean judgement"),
        (asked(lambda j, x: sum(s.square().sum() for s in slopes(j, x, False)) / j[0].numel()), "create_graph"),
        (asked(lambda j, x: squared_gradients(j, x).detach()), "create_graph"),
        (asked(each_alone), "each single judgement"),
        (asked(by_backward), "gradients are left"),
        (lambda j, x: sum(s.square().sum() for s in slopes(j, x)) / j[0].numel(), "should give 0"),
        (asked(lambda j, x: torch.stack([s.square().sum() for s in slopes(j, x)])), "One number"),
        (lambda j, x: print(end=""), "return"),
    ],
    "09.1": [
        (9 * 17.3 * 2, "A layer costs"),
        (4027.3, "halved"),
        (8.13, "nine weights"),
        (73_211_904, "millions"),
        (0.0732, "millions"),
        (18.3, "128x128"),
    ],
    "09.2": [
        (lambda low, high: 2 * from_bands(low, high), "the sum itself"),
        (lambda low, high: from_bands(low, high) / 2, "divide by 4"),
        (lambda low, high: F.interpolate(low, scale_factor=2) / 2, "not used"),
        (lambda low, high: from_bands(low, -high), "wrong sign"),
        (lambda low, high: from_bands(low, high.roll(3, 1)), "you give"),
        (lambda low, high: low, "shape"),
        (lambda low, high: print(end=""), "return"),
    ],
    "09.3": [
        (in_turn, "both move at once"),
        (lambda *case: by_autograd(*case, every=1), "taken once"),
        (lambda *case: by_autograd(*case, every=4), "twice too strong"),
        (lambda t, p, r, g: duel(t, p, r, 0), "penalty is missing"),
        (lambda t, p, r, g: duel(t, p, -r, g), "uphill"),
        (lambda t, p, r, g: (t + r * p, p - r * (t + 2 * g * p)), "sigmoid"),
        (lambda t, p, r, g: duel(t, p, r, g)[0], "1 thing"),
        (lambda t, p, r, g: (math.inf, 0.0), "infinite"),
        (lambda t, p, r, g: print(end=""), "return"),
    ],
}
