"""Class activation maps equal the logits they explain, and leave the model as it was."""

import copy
import re
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from course_utils.cam import CAM, class_activation_maps
from course_utils.head import _HeadTracer

pytestmark = pytest.mark.filterwarnings("ignore:The maps are only")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class Net(nn.Module):
    """Two convolutions, then the head given as a function of the feature map and a linear layer."""

    def __init__(self, head, width=6, classes=5, inputs=None):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, width, 3)
        )
        self.fc = nn.Linear(inputs or width, classes)
        self.head = head

    def forward(self, x):
        return self.head(self.features(x), self.fc)


def images(batch=2, size=20, **options):
    return torch.randn(batch, 3, size, size, **options)


def average(f):
    return f.mean((2, 3))


def relative_difference(cam):
    return ((cam.maps.mean((2, 3)) - cam.logits).abs().max() / cam.logits.abs().max()).item()


def torchvision_net(name, **options):
    if name in ("googlenet", "inception_v3"):
        options = {"aux_logits": True, "init_weights": False, **options}
    return getattr(torchvision.models, name)(num_classes=10, **options)


# ------------------------------------------------------------------------------------ exactness

GAP_NETS = [
    "resnet18", "resnet50", "googlenet", "inception_v3", "densenet121", "mobilenet_v2",
    "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf", "efficientnet_b0", "swin_t",
]  # fmt: skip


@pytest.mark.parametrize("name", GAP_NETS)
def test_the_mean_of_a_map_is_the_logit_on_torchvision_nets_in_both_precisions(name):
    net = torchvision_net(name)
    x = images(size=96)
    single = class_activation_maps(net, x)
    assert relative_difference(single) < 1e-5
    with torch.no_grad():
        torch.testing.assert_close(single.logits, net.eval()(x))
    assert relative_difference(class_activation_maps(net.double(), x.double())) < 1e-12


def test_maps_equal_values_worked_out_by_hand():
    class Direct(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            return self.fc(average(x))

    net = Direct()
    net.fc.weight.data = torch.tensor([[1.0, 2.0], [-1.0, 0.5]])
    net.fc.bias.data = torch.tensor([10.0, -1.0])
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 2.0], [0.0, 0.0]]]])
    cam = class_activation_maps(net, x)
    # class 0: f0 + 2 f1 + 10; class 1: -f0 + f1 / 2 - 1
    assert cam.maps.tolist() == [[[[11, 16], [13, 14]], [[-2, -2], [-4, -5]]]]
    assert cam.logits.tolist() == [[13.5, -3.25]]
    assert class_activation_maps(net, x, bias=False).maps.tolist() == [
        [[[1, 6], [3, 4]], [[-1, -1], [-3, -4]]]
    ]
    assert (cam.feature_layer, cam.linear_layer) == ("images", "fc")


HEADS = {
    "module": lambda f, fc: fc(nn.AdaptiveAvgPool2d(1)(f).flatten(1)),
    "module, pair": lambda f, fc: fc(torch.flatten(nn.AdaptiveAvgPool2d((1, 1))(f), 1)),
    "function": lambda f, fc: fc(F.adaptive_avg_pool2d(f, 1)[:, :, 0, 0]),
    "mean of pair": lambda f, fc: fc(f.mean((2, 3))),
    "mean of negative list": lambda f, fc: fc(torch.mean(f, dim=[-2, -1])),
    "mean kept, squeezed": lambda f, fc: fc(f.mean(dim=(-1, -2), keepdim=True).squeeze()),
    "mean, one side at a time": lambda f, fc: fc(f.mean(3).mean(2)),
    "mean of laid out": lambda f, fc: fc(f.flatten(2).mean(-1)),
    "mean of viewed": lambda f, fc: fc(f.contiguous().view(len(f), f.shape[1], -1).mean(2)),
    "pooling over the whole map": lambda f, fc: fc(F.avg_pool2d(f, f.shape[2:]).view(len(f), -1)),
    "module over the whole map": lambda f, fc: fc(nn.AvgPool2d(7)(f).reshape(len(f), -1)),
    "channels last": lambda f, fc: fc(f.permute(0, 2, 3, 1).mean((1, 2))),
    "dropout": lambda f, fc: fc(nn.Dropout(0.5).eval()(average(f))),
    "function dropout": lambda f, fc: fc(F.dropout(average(f), 0.5, training=False)),
    "functional linear": lambda f, fc: F.linear(average(f), fc.weight, bias=fc.bias),
    "casts": lambda f, fc: fc(average(f).contiguous().clone().float()).float(),
    "pooled twice": lambda f, fc: fc(nn.AdaptiveAvgPool2d(1)(f.mean((2, 3), True)).flatten(1)),
    "two heads": lambda f, fc: (nn.Linear(6, 9)(average(f)), fc(average(f)))[1],
    "another pooling beside": lambda f, fc: (fc(average(f)), F.relu(f).mean((2, 3)))[0],
    "pooling beyond the map": lambda f, fc: fc(nn.AvgPool2d(99, ceil_mode=True)(f).flatten(1)),
    "pooling over the padding": lambda f, fc: fc(
        F.avg_pool2d(f, 11, padding=2, count_include_pad=False)[..., 0, 0]
    ),
    "pooling with a divisor": lambda f, fc: fc(
        F.avg_pool2d(f, 7, divisor_override=7).flatten(1) / 7
    ),
    "pooling of rows": lambda f, fc: fc(F.adaptive_avg_pool1d(f.flatten(2), 1)[..., 0]),
    "a sum of one number beside": lambda f, fc: (fc(average(f)), f.sum().sum())[0],
    "sum over count": lambda f, fc: fc(f.sum((2, 3)) / (f.shape[2] * f.shape[3])),
    "sum times share": lambda f, fc: fc(torch.tensor(1 / 49) * f.sum((2, 3))),
    "sum, then mean": lambda f, fc: fc(f.sum(3).mean(2).div_(7)),
    "einsum": lambda f, fc: fc(torch.einsum("bchw->bc", f) / f[0, 0].numel()),
    "einsum with weights": lambda f, fc: fc(
        torch.einsum("bchw,hw->bc", f, torch.full(f.shape[2:], 1 / 49))
    ),
    "product with ones": lambda f, fc: fc(f.flatten(2) @ torch.ones(49) / 49),
    "einsum over all": lambda f, fc: (
        torch.einsum("bchw,kc->bk", f, fc.weight) / f[0, 0].numel() + fc.bias
    ),
    "positions first": lambda f, fc: fc(f.permute(0, 2, 3, 1).flatten(1, 2).mean(1)),
    "channels last, copied": lambda f, fc: fc(f.permute(0, 2, 3, 1).contiguous().mean((1, 2))),
    "channels last in memory": lambda f, fc: fc(
        F.adaptive_avg_pool2d(f.to(memory_format=torch.channels_last), 1).flatten(1)
    ),
    "1x1 convolution": lambda f, fc: F.conv2d(
        f.mean((2, 3), True), fc.weight[..., None, None], fc.bias
    ).flatten(1),
    "1x1 convolution, left as maps": lambda f, fc: F.conv2d(
        f.mean((2, 3), True), fc.weight[..., None, None], fc.bias
    ),
    "convolution in 1d": lambda f, fc: F.conv1d(
        average(f)[..., None], fc.weight[..., None], fc.bias
    )[..., 0],
    "matrix product": lambda f, fc: average(f) @ fc.weight.T + fc.bias,
    "matrix product, bias in place": lambda f, fc: (average(f) @ fc.weight.T).add_(fc.bias),
    "addmm": lambda f, fc: torch.addmm(fc.bias, average(f), fc.weight.T),
    "baddbmm": lambda f, fc: torch.baddbmm(fc.bias, average(f)[None], fc.weight.T[None])[0],
    "tokens": lambda f, fc: fc(f.flatten(2).mT.contiguous().mean(1)),
    "tokens summed": lambda f, fc: fc(f.flatten(2).mT.contiguous().sum(1) / 49),
    "tokens, positions last": lambda f, fc: fc(f.flatten(2).sigmoid().logit().mean(2)),
    "tokens pooled in one dimension": lambda f, fc: fc(
        F.adaptive_avg_pool1d(f.flatten(2).mT.contiguous().mT, 1)[..., 0]
    ),
    "tokens beside the class's": lambda f, fc: fc(
        torch.cat([f[..., 0, :1], f.flatten(2)], 2).mT[:, 1:].mean(1)
    ),
    "factors": lambda f, fc: fc(average(f) * 3 / 3) * 2 / torch.tensor(2.0),
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_every_way_to_write_average_pooling_then_linear_is_recognised(head):
    net, x = Net(head), images()
    cam = class_activation_maps(net, x)
    features = net.eval().features(x)
    by_hand = torch.einsum("ck,bkhw->bchw", net.fc.weight, features)
    by_hand = by_hand + net.fc.bias[:, None, None]
    torch.testing.assert_close(cam.maps, by_hand.detach(), atol=1e-5, rtol=1e-5)
    assert cam.error < 1e-5
    assert cam.linear_layer == "fc"
    with torch.inference_mode():
        assert torch.equal(class_activation_maps(net, x).maps, cam.maps)


class Mixer(nn.Module):
    """Patches as tokens, mixed with one another and averaged."""

    def __init__(self, tokens):
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 6, 4, stride=4), nn.LayerNorm(6)
        self.mixing, self.fc = nn.Linear(tokens, tokens), nn.Linear(6, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        x = x + self.mixing(x.mT).mT
        return self.fc(self.norm(x).mean(1))


@pytest.mark.parametrize("grid", [(4, 4), (2, 6), (4, 6), (8, 5)])
def test_tokens_lie_on_the_grid_of_the_images_proportions(grid):
    net = Mixer(grid[0] * grid[1]).double()
    seen = []
    net.norm.register_forward_hook(lambda _net, _args, out: seen.append(out))
    x = torch.randn(2, 3, 4 * grid[0], 4 * grid[1], dtype=torch.float64)
    cam = class_activation_maps(net, x)
    assert relative_difference(cam) < 1e-12
    by_hand = net.fc(seen[0]).detach().mT.unflatten(2, grid)
    torch.testing.assert_close(cam.maps, by_hand)
    with pytest.raises(ValueError, match="cannot be located"):
        cam.resized(8, geometry="true")


def test_tokens_of_another_grid_are_told_theirs():
    net, x = Net(lambda f, fc: fc(f.flatten(2)[..., 1:].mT.mean(1))).double(), images().double()
    with pytest.raises(ValueError, match=r"48 positions, and a grid of 6×6 has 36: .*grid=\("):
        class_activation_maps(net, x)
    with pytest.raises(ValueError, match="48 positions, and a grid of 4×4 has 16"):
        class_activation_maps(net, x, grid=(4, 4))
    with pytest.raises(TypeError):
        class_activation_maps(net, x, grid=(6, 8.0))
    cam = class_activation_maps(net, x, grid=(6, 8))
    assert cam.maps.shape == (2, 5, 6, 8)
    assert relative_difference(cam) < 1e-12
    features = net.eval().features(x).detach().flatten(2)[..., 1:]
    by_hand = torch.einsum("ck,bkn->bcn", net.fc.weight, features) + net.fc.bias[:, None]
    torch.testing.assert_close(cam.maps.flatten(2), by_hand.detach())


class Borrowing(nn.Module):
    """A convolution whose weights are used by a function, once for the features and once after."""

    def __init__(self, kernel=3):
        super().__init__()
        self.features, self.conv = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 6, kernel)
        self.last = nn.Conv2d(6, 5, 1)

    def forward(self, x):
        x = F.conv2d(self.features(x), self.conv.weight, self.conv.bias, padding=1).relu()
        x = F.conv2d(x.mean((2, 3), keepdim=True), self.last.weight, self.last.bias)
        return x.flatten(1)


@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_weights_that_a_function_uses_count_and_claim_no_places(kernel):
    net, x = Borrowing(kernel).double(), images().double()
    cam = class_activation_maps(net, x)
    assert relative_difference(cam) < 1e-12
    features = F.conv2d(net.features(x), net.conv.weight, net.conv.bias, padding=1).relu()
    by_hand = F.conv2d(features, net.last.weight, net.last.bias)
    torch.testing.assert_close(cam.maps, by_hand.detach())
    assert (cam.feature_layer, cam.linear_layer) == ("after features", "last")
    # The cells are where the function put them, and not where the module before it had them.
    with pytest.raises(ValueError, match="No module of the model outputs the features"):
        cam.resized(20, geometry="true")


def test_a_network_met_before_is_watched_from_its_features_on(monkeypatch):
    seen = []
    follow = _HeadTracer.watch

    def watch(tracer, func, *rest):
        seen.append(func.overloadpacket)
        follow(tracer, func, *rest)

    monkeypatch.setattr(_HeadTracer, "watch", watch)
    net, x = Net(lambda f, fc: fc(average(f))), images()
    convolution, maps = torch.ops.aten.convolution, []
    for is_whole in (True, False, False):
        maps.append(class_activation_maps(net, x).maps)
        assert (convolution in seen, torch.ops.aten.addmm in seen) == (is_whole, True)
        seen.clear()
    assert torch.equal(maps[0], maps[1])
    class_activation_maps(net, images(3))  # of another shape
    assert convolution in seen
    assert global_hooks() == 0
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def early(f, fc, kept):
    """Logits with a part that was made before the features were there."""
    return fc(average(f)) + kept[-1]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (lambda f, fc, _kept: fc(F.relu(average(f.abs()))), "activation `relu`"),
        (lambda f, fc, _kept: fc(average(f)).softmax(1), "`softmax` follows"),
        (lambda f, fc, _kept: fc(f.amax((2, 3))), "global maximum"),
        (early, "`add` follows"),
    ],
)
def test_a_network_that_was_changed_is_watched_as_a_whole_again(head, reason):
    net, kept = Net(lambda f, fc: fc(average(f))), []
    net.features[0].register_forward_hook(
        lambda _net, _args, out: kept.append(F.linear(out.amax((2, 3)), torch.ones(5, 4)))
    )
    x = images(1)
    for _again in range(2):
        class_activation_maps(net, x)
    net.head = lambda f, fc: head(f, fc, kept)
    for _again in range(2):
        with pytest.raises(ValueError, match=reason):
            class_activation_maps(net, x)


def test_layers_put_in_later_are_found():
    net, x = Net(lambda f, fc: fc(average(f))), images()
    before = class_activation_maps(net, x)
    net.features = nn.Sequential(*net.features, nn.ReLU(), nn.Conv2d(6, 6, 1))
    net.fc = nn.Linear(6, 7)
    cam = class_activation_maps(net, x)
    assert (before.maps.shape[1], cam.maps.shape[1]) == (5, 7)
    torch.testing.assert_close(
        cam.maps,
        F.conv2d(net.eval().features(x), net.fc.weight[..., None, None], net.fc.bias).detach(),
    )


def test_a_factor_is_part_of_the_map():
    net, x = Net(lambda f, fc: fc(f.sum((2, 3))) / 0.5), images()
    cam, plain = class_activation_maps(net, x), Net(lambda f, fc: fc(average(f)))
    plain.load_state_dict(net.state_dict())
    expected = class_activation_maps(plain, x, bias=False).maps * (49 / 0.5)
    expected = expected + (net.fc.bias / 0.5).detach()[:, None, None]
    torch.testing.assert_close(cam.maps, expected)


def traced(net, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        return torch.jit.trace(net, x)


@pytest.mark.parametrize(
    "rewritten",
    [
        traced,
        lambda net, x: torch.export.export(net, (x,)).module(),
        lambda net, x: nn.Sequential(traced(net.features, x), *heads(net)),
        lambda net, x: torch.compile(net, backend=no_backend),
        lambda net, x: nn.Sequential(torch.compile(net.features, backend=no_backend), *heads(net)),
    ],
    ids=["traced", "exported", "traced in part", "compiled", "compiled in part"],
)
def test_a_network_that_was_traced_exported_or_compiled_has_the_maps_of_the_plain_one(rewritten):
    net, x = Net(lambda f, fc: fc(average(f))).eval(), images()
    expected = class_activation_maps(net, x).maps
    torch.testing.assert_close(class_activation_maps(rewritten(net, x), x).maps, expected)


def heads(net):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.fc


def no_backend(graph, _inputs):
    raise AssertionError("compiled code cannot be followed")


@pytest.mark.filterwarnings("ignore:.*quantiz:DeprecationWarning")
def test_a_quantized_linear_layer_passes_the_tolerance_of_8_bits():
    net, x = Net(lambda f, fc: fc(average(f))).eval(), images()
    net.head = lambda f, _fc: net.fc(average(f))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao is deprecated
        smaller = torch.ao.quantization.quantize_dynamic(copy.deepcopy(net), {nn.Linear})
    smaller.head = lambda f, _fc: smaller.fc(average(f))
    cam = class_activation_maps(smaller, x)
    assert cam.linear_layer == "fc"
    assert 0 < cam.error < 8 * 2.0**-8
    scale = class_activation_maps(net, x).maps
    torch.testing.assert_close(cam.maps, scale, atol=0.02 * float(scale.abs().max()), rtol=0)


def test_of_layers_with_tied_weights_the_one_that_ran_is_named():
    net = Net(lambda f, fc: fc(average(f)))
    unused = nn.Linear(6, 5)
    unused.weight = net.fc.weight
    both = nn.ModuleDict({"unused": unused, "net": net})
    both.forward = net.forward
    assert class_activation_maps(both, images()).linear_layer == "net.fc"


@pytest.mark.parametrize(
    ("answer", "entry"),
    [
        (lambda logits, f: {"features": f, "logits": logits}, "logits"),
        (lambda logits, f: (logits, f), 0),
        (lambda logits, f: [f, logits], 1),
    ],
)
def test_a_model_that_answers_more_than_logits_is_told_which_entry_holds_them(answer, entry):
    net = Net(lambda f, fc: answer(fc(average(f)), f))
    cam = class_activation_maps(net, images(), entry=entry)
    assert cam.maps.shape == (2, 5, 7, 7)
    for wrong in (None, "loss"):
        with pytest.raises(ValueError, match=f"where they are with entry=…, .*{entry!r}"):
            class_activation_maps(net, images(), entry=wrong)


def test_numbers_too_small_for_their_digits_are_accepted():
    net = Net(lambda f, fc: fc(average(f)) * 1e-38)
    assert class_activation_maps(net, images()).maps.abs().max() < 1e-37


def test_the_map_is_of_the_tensor_after_densenets_relu_in_place():
    net, x = torchvision_net("densenet121"), images(size=64)
    cam = class_activation_maps(net, x)
    features = F.relu(net.eval().features(x))
    expected = F.conv2d(features, net.classifier.weight[:, :, None, None], net.classifier.bias)
    torch.testing.assert_close(cam.maps, expected.detach())
    assert (cam.feature_layer, cam.linear_layer) == ("features", "classifier")


def test_a_relu_function_between_features_and_pooling_is_part_of_the_features():
    net, x = Net(lambda f, fc: fc(average(F.relu(f)))), images()
    cam = class_activation_maps(net, x)
    features = F.relu(net.eval().features(x))
    expected = F.conv2d(features, net.fc.weight[:, :, None, None], net.fc.bias)
    torch.testing.assert_close(cam.maps, expected.detach())
    assert cam.feature_layer == "after features"


def test_channels_pooled_and_gated_on_the_way_are_not_taken_for_the_head():
    def gated(f, fc):
        gate = torch.sigmoid(nn.functional.linear(average(f), torch.eye(f.shape[1])))
        return fc(average(f * gate[:, :, None, None]))

    net, x = Net(gated), images()
    assert class_activation_maps(net, x).error < 1e-5


def test_a_linear_layer_without_bias_and_a_batch_of_one_work():
    net = Net(lambda f, fc: fc(f.mean((2, 3)).squeeze()))
    net.fc = nn.Linear(6, 5, bias=False)
    cam = class_activation_maps(net, images(1))
    assert cam.maps.shape == (1, 5, 7, 7)
    assert cam.logits.shape == (1, 5)
    assert relative_difference(cam) < 1e-5


def test_logits_that_are_all_zero_are_accepted():
    net = Net(lambda f, fc: fc(average(f)))
    nn.init.zeros_(net.fc.weight)
    nn.init.zeros_(net.fc.bias)
    cam = class_activation_maps(net, images())
    assert cam.error == 0
    assert cam.flat.all()


def test_logits_that_nearly_cancel_are_accepted():
    net = Net(lambda f, fc: fc(average(f)))
    net.features.append(nn.BatchNorm2d(6))  # a constant channel of 1000s, read with both signs
    net.features[-1].weight.data = torch.zeros(6)
    net.features[-1].bias.data = torch.full((6,), 1000.1)
    net.fc.weight.data = torch.tensor([1.0, -1.0]).repeat(5, 3) * torch.rand(5, 1)
    net.fc.bias.data.fill_(1e-4)
    assert class_activation_maps(net, images()).maps.shape == (2, 5, 7, 7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_pass_their_own_tolerance(dtype):
    net = Net(lambda f, fc: fc(average(f))).to(dtype)
    cam = class_activation_maps(net, images(dtype=dtype))
    assert cam.maps.dtype == torch.float32
    assert cam.logits.dtype == dtype


def test_autocast_passes_the_tolerance_of_its_type():
    net = Net(lambda f, fc: fc(average(f)).float())
    with torch.autocast("cpu", torch.bfloat16):
        cam = class_activation_maps(net, images())
    assert 0 < cam.error < 8 * 2.0**-9


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_accelerators_give_the_same_maps(device):
    available = torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()
    if not available:
        pytest.skip(f"no {device} here")
    net, x = torchvision_net("resnet18"), images(size=128)
    expected = class_activation_maps(net, x).maps
    cam = class_activation_maps(net.to(device), x.to(device))
    assert cam.maps.device.type == device
    torch.testing.assert_close(cam.maps.cpu(), expected, atol=1e-2, rtol=1e-2)
    assert cam.select([1, 2]).positive().resized(32).normalized().maps.shape == (2, 32, 32)


@pytest.mark.parametrize(
    ("name", "features", "linear"),
    [("resnet18", "layer4", "fc"), ("densenet121", "features", "classifier")],
)
def test_maps_equal_those_of_torchcam(name, features, linear):
    methods = pytest.importorskip("torchcam.methods")
    net, x = torchvision_net(name).eval(), images(size=96)
    with methods.CAM(net, features, linear) as extractor, torch.no_grad():
        net(x)
        theirs = extractor.compute_cams([3, 7], normalized=False)[0]
    ours = class_activation_maps(net, x, bias=False).select([3, 7]).maps
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


# ------------------------------------------------------------------------------------- refusals

REFUSED = {
    "flattened map": (lambda f, fc: fc(f.flatten(1)), 294, "flattened 6x7x7 map"),
    "pooled to 2x2": (lambda f, fc: fc(F.adaptive_avg_pool2d(f, 2).flatten(1)), 24, "6x2x2 map"),
    "max pooling": (lambda f, fc: fc(F.adaptive_max_pool2d(f, 1).flatten(1)), 6, "global maximum"),
    "max pooling window": (lambda f, fc: fc(F.max_pool2d(f, 7).flatten(1)), 6, "global maximum"),
    "amax": (lambda f, fc: fc(f.amax((2, 3))), 6, "global maximum"),
    "max of laid out": (lambda f, fc: fc(f.flatten(2).max(-1).values), 6, "global maximum"),
    "ReLU": (lambda f, fc: fc(F.relu(average(f))), 6, "activation `relu`"),
    "ReLU in place": (lambda f, fc: fc(average(f).relu_()), 6, "activation `relu`"),
    "idle ReLU": (lambda f, fc: fc(F.relu(average(f.abs()))), 6, "activation `relu`"),
    "tanh": (lambda f, fc: fc(torch.tanh(average(f))), 6, "activation `tanh`"),
    "batch norm": (
        lambda f, fc: fc(nn.BatchNorm1d(6).eval()(average(f))), 6, "normalisation `batch_norm`",
    ),
    "layer norm": (lambda f, fc: fc(F.layer_norm(average(f), (6,))), 6, "layer_norm`"),
    "unit length": (lambda f, fc: fc(F.normalize(average(f))), 6, "operation `div`"),
    "hidden layer": (
        lambda f, fc: fc(F.relu(nn.Linear(6, 8)(average(f)))), 8, "hidden layer `linear`",
    ),
    "hidden layer alone": (lambda f, fc: fc(nn.Linear(6, 8)(average(f))), 8, "hidden layer"),
    "scaled by channel": (lambda f, fc: fc(average(f) * torch.rand(6)), 6, "operation `mul`"),
    "shifted in place": (lambda f, fc: fc(average(f).add_(2)), 6, "operation `add`"),
    "product of two averages": (lambda f, fc: fc(average(f) * average(f)), 6, "operation `mul`"),
    "average and maximum": (
        lambda f, fc: fc(torch.cat([average(f), f.amax((2, 3))], 1)), 12, "operation `cat`",
    ),
    "shuffled": (lambda f, fc: fc(average(f)[:, torch.arange(5, -1, -1)]), 6, "`index`"),
    "live dropout": (lambda f, fc: fc(F.dropout(average(f))), 6, "operation `mul`"),
    "softmax": (lambda f, fc: fc(average(f)).softmax(1), 6, "`softmax` follows .* `fc`"),
    "ReLU after": (lambda f, fc: F.relu(fc(average(f))), 6, "`relu` follows .* `fc`"),
    "tokens with the class's": (
        lambda f, fc: fc(torch.cat([f[..., 0, :1], f.flatten(2)], 2).mT.mean(1)),
        6, "averages 50 positions, and a grid of 7×7 has 49",
    ),
    "the class's token": (
        lambda f, fc: fc(f.flatten(2).mT[:, :1].mean(1)), 6, "not the global average",
    ),
    "positions do not count alike": (
        lambda f, fc: fc(torch.einsum("bchw,hw->bc", f, torch.rand(7, 7))), 6, "position of",
    ),
    "two answers": (lambda f, fc: fc(average(f)) + fc(average(f)), 6, "`add` follows .* `fc`"),
    "a bias for each image": (
        lambda f, fc: fc(average(f)) + torch.rand(2, 5), 6, "`add` follows .* `fc`",
    ),
    "weights for each image": (
        lambda f, fc: torch.bmm(average(f)[:, None], torch.rand(2, 6, 5))[:, 0], 6,
        "`bmm` follows the pooling",
    ),
    "no pooling": (lambda f, fc: fc(f[:, :, 0, 0]), 6, "not the global average"),
    "average of a part": (
        lambda f, fc: fc(F.avg_pool2d(f, 6).flatten(1)), 6, "does not give every position",
    ),
    "average with padding": (
        lambda f, fc: fc(F.avg_pool2d(f, 7, padding=1, stride=9).flatten(1)), 6, "every position",
    ),
    "no linear layer": (lambda f, fc: average(f), 6, "No linear layer follows the pooling"),
    "ReLU then pooling": (lambda f, fc: average(F.relu(f)), 6, "averages after a ReLU"),
    "maximum alone": (lambda f, fc: f.amax((2, 3)), 6, "ends with a global maximum"),
    "a map": (lambda f, fc: f, 6, "No linear layer was seen"),
    "a tuple": (lambda f, fc: (fc(average(f)), f), 6, "returns a tuple"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "inputs", "reason"), REFUSED.values(), ids=REFUSED)
def test_any_other_head_is_refused_with_its_reason_in_one_sentence(head, inputs, reason):
    net = Net(head, inputs=inputs)
    with pytest.raises(ValueError, match=reason) as refusal:
        class_activation_maps(net, images())
    sentence = str(refusal.value)
    assert sentence.endswith(".") and ". " not in sentence
    assert net.training


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("squeezenet1_1", "averages after a ReLU"),
        pytest.param("vgg11", "flattened 512x7x7 map", marks=pytest.mark.slow),
        ("alexnet", "flattened 256x6x6 map"),
        ("mobilenet_v3_small", "hidden layer `classifier.0`"),
        ("convnext_tiny", "normalisation `layer_norm`"),
    ],
)
def test_torchvision_nets_with_another_head_are_refused(name, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        class_activation_maps(torchvision_net(name), images(1, size=64))


def test_features_changed_in_place_after_the_pooling_are_found_out_by_the_logits():
    def late(f, fc):
        pooled = average(f)
        f.mul_(2)
        return fc(pooled)

    with pytest.raises(ValueError, match=r"differ by .* times the largest logit"):
        class_activation_maps(Net(late), images())


# ----------------------------------------------------------------------------------- bad inputs


@pytest.fixture
def net():
    return Net(lambda f, fc: fc(average(f)))


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: images().numpy(), TypeError, "images are of type ndarray"),
        (lambda: images()[0], ValueError, r"shape \(3, 20, 20\) instead of \(B, C, H, W\)"),
        (lambda: images(0), ValueError, "at least one image"),
        (lambda: images() * torch.nan, ValueError, "NaN or infinite"),
        (lambda: images().index_fill(0, torch.tensor(1), torch.inf), ValueError, "infinite"),
        (lambda: images()[:, :1], ValueError, r"first convolution takes \(B, 3, H, W\)"),
        (lambda: images().double(), TypeError, r"images.to\(torch.float32\)"),
        (lambda: torch.zeros(1, 3, 20, 20, dtype=torch.uint8), TypeError, "torch.uint8"),
    ],
)
def test_bad_images_meet_one_clear_sentence(net, make, error, sentence):
    with pytest.raises(error, match=sentence):
        class_activation_maps(net, make())


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_shapes_without_numbers_meet_one_clear_sentence(net, device):
    with pytest.raises(ValueError, match="The meta device has shapes but no numbers"):
        class_activation_maps(net.to("meta"), images().to(device))


def test_what_is_no_model_meets_one_clear_sentence():
    with pytest.raises(TypeError, match=r"should be a torch.nn.Module"):
        class_activation_maps(lambda x: x, images())


def test_weights_that_are_nan_meet_one_clear_sentence(net):
    net.fc.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="check the model's weights"):
        class_activation_maps(net, images())


def test_large_finite_images_are_not_taken_for_infinite_ones(net):
    x = torch.full((1, 3, 20, 20), 60000.0)
    half = copy.deepcopy(net).half()
    half.features[0].weight.data.zero_()
    assert class_activation_maps(half, x.half()).logits.isfinite().all()


def test_small_maps_are_warned_about_and_larger_ones_are_not(net):
    with pytest.warns(UserWarning, match="only 3×3") as caught:
        class_activation_maps(net, images(size=12))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        class_activation_maps(net, images(size=14))  # 4x4


# ------------------------------------------------------------------------ nothing is left behind


def global_hooks():
    hooks = torch.nn.modules.module
    return len(hooks._global_forward_hooks) + len(hooks._global_forward_pre_hooks)


def test_training_flags_hooks_gradients_statistics_and_random_state_are_untouched(net):
    net.features[1].eval()  # a frozen batch norm inside a net in training mode
    net.features[1].running_mean.fill_(0.5)
    net(images()).sum().backward()
    before = copy.deepcopy(net.state_dict())
    gradients = [p.grad.clone() for p in net.parameters()]
    flags = [m.training for m in net.modules()]
    x = images()
    state = torch.get_rng_state()
    cam = class_activation_maps(net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert [m.training for m in net.modules()] == flags
    assert any(flags)
    assert not all(flags)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert global_hooks() == 0
    assert not cam.maps.requires_grad
    assert torch.is_grad_enabled()


def test_all_is_restored_after_an_error_in_the_model():
    def failing(f, fc):
        torch.rand(3)
        raise RuntimeError("boom")

    net = Net(failing)
    net.features.eval()
    state = torch.get_rng_state()
    x = torch.zeros(2, 3, 20, 20)
    with pytest.raises(RuntimeError, match="boom"):
        class_activation_maps(net, x)
    assert net.training
    assert not net.features.training
    assert global_hooks() == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_the_model_runs_once_and_in_evaluation_mode():
    seen = []

    def head(f, fc):
        seen.append(net.training)
        return fc(nn.functional.dropout(average(f), 0.5, net.training))

    net = Net(head)
    class_activation_maps(net, images())
    assert seen == [False]


def test_frozen_weights_no_grad_and_inference_mode_give_the_same_maps(net):
    x = images()
    expected = class_activation_maps(net, x).maps
    net.requires_grad_(False)
    assert torch.equal(class_activation_maps(net, x).maps, expected)
    with torch.no_grad():
        assert torch.equal(class_activation_maps(net, x).maps, expected)
    with torch.inference_mode():
        assert torch.equal(class_activation_maps(net, x).maps, expected)


def test_hooks_of_the_readers_own_still_run_and_stay(net):
    calls = []
    net.features.register_forward_hook(lambda *_: calls.append(1))
    class_activation_maps(net, images())
    assert calls == [1]
    assert len(net.features._forward_hooks) == 1


def test_images_are_not_changed(net):
    x = images()
    copied = x.clone()
    class_activation_maps(net, x)
    assert torch.equal(x, copied)


# ------------------------------------------------------------------------------------ the classes


@pytest.fixture
def cam():
    maps = torch.arange(24.0).view(2, 3, 2, 2)
    return CAM(maps, torch.tensor([[0.0, 5.0, 1.0], [7.0, 0.0, 1.0]]), "features", "fc")


@pytest.mark.parametrize(
    ("classes", "chosen"),
    [
        (2, [2, 2]),
        (np.int64(2), [2, 2]),
        (np.uint8(1), [1, 1]),
        (torch.tensor(1), [1, 1]),
        ([0, 2], [0, 2]),
        ((0, 2), [0, 2]),
        ([np.int32(0), torch.tensor(2)], [0, 2]),
        (torch.tensor([2, 0], dtype=torch.uint8), [2, 0]),
        (np.array([2, 0]), [2, 0]),
        (None, [1, 0]),
    ],
)
def test_a_class_is_chosen_by_any_kind_of_integer_or_predicted(cam, classes, chosen):
    selected = cam.select(classes)
    assert selected.maps.shape == (2, 2, 2)
    assert selected.classes.tolist() == chosen
    for image, c in enumerate(chosen):
        assert torch.equal(selected.maps[image], cam.maps[image, c])
        assert selected.logits[image] == cam.logits[image, c]


def test_several_classes_an_image_give_one_map_each(cam):
    selected = cam.select(torch.tensor([[0, 2], [1, 1]]))
    assert selected.maps.shape == (2, 2, 2, 2)
    assert torch.equal(selected.maps[0, 1], cam.maps[0, 2])
    assert torch.equal(selected.maps[1, 0], selected.maps[1, 1])


@pytest.mark.parametrize(
    "classes",
    [True, [True, False], 1.0, "1", [0, 1.0], torch.tensor([0.0, 1.0]), torch.tensor([True, True]),
     np.array([0.5, 1]), [[0], [1, 2]], np.bool_(True), {0: 1}],
)  # fmt: skip
def test_a_class_that_is_no_integer_is_refused_with_the_valid_range(cam, classes):
    with pytest.raises(TypeError, match="give an integer from 0 to 2, or 2 of them"):
        cam.select(classes)


@pytest.mark.parametrize(
    "classes",
    [-1, 3, [0, -1], [0, 3], torch.tensor([3, 0]), [0], [0, 1, 2], [], np.zeros((2, 2, 2), int)],
)  # fmt: skip
def test_a_class_out_of_range_or_a_wrong_number_is_refused_with_the_valid_range(cam, classes):
    with pytest.raises(ValueError, match="give an integer from 0 to 2, or 2 of them"):
        cam.select(classes)


def test_classes_are_chosen_once_only(cam):
    with pytest.raises(ValueError, match="already chosen"):
        cam.select(0).select(0)


# -------------------------------------------------------------------------------------- the steps


def test_each_step_does_one_thing_and_leaves_the_first_maps_alone():
    maps = torch.tensor([[[[-2.0, 2.0], [0.0, 6.0]]]])
    cam = CAM(maps.clone(), torch.tensor([[1.5]]), "features", "fc")
    assert cam.positive().maps.tolist() == [[[[0, 2], [0, 6]]]]
    assert cam.normalized().maps.tolist() == [[[[0, 0.5], [0.25, 1]]]]
    assert cam.positive().normalized().maps.flatten().tolist() == pytest.approx([0, 1 / 3, 0, 1])
    assert torch.equal(cam.maps, maps)


def test_resizing_interpolates_between_the_centres_of_the_cells():
    cam = CAM(torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]]), torch.tensor([[6.0]]), "features", "fc")
    # weights of the second cell at the centres of four pixels over two cells: 0, 1/4, 3/4, 1
    row = torch.tensor([0, 1, 3, 4.0])
    expected = row[None, :] + 2 * row[:, None]
    assert torch.equal(cam.resized(4).maps[0, 0], expected)
    assert torch.equal(cam.select(0).resized((4, 4)).maps[0], expected)
    assert cam.resized(torch.Size([3, 5])).maps.shape == (1, 1, 3, 5)


class Averages(nn.Module):
    """Layers that average evenly, so that a slope goes through them, and a head of one class."""

    def __init__(self, *layers):
        super().__init__()
        self.features, self.fc = nn.Sequential(*layers), nn.Linear(1, 1)
        for one in self.modules():
            if isinstance(one, nn.Conv2d | nn.Linear):
                nn.init.constant_(one.weight, 1 / one.weight[0].numel())
                nn.init.zeros_(one.bias)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def conv(kernel, stride=1, padding=0):
    return nn.Conv2d(1, 1, kernel, stride, padding)


@pytest.mark.parametrize(
    "layers",
    [
        (conv(3, 2, 1), conv(3, 2, 1), conv(3, 1, 1)),
        (conv(3, 2), conv(3, 2)),
        (conv(4, 4),),
        (conv(2, 2), nn.AvgPool2d(2), conv(4, 1, "same")),
        (nn.ZeroPad2d((2, 0, 2, 0)), conv(3, 2), nn.ZeroPad2d((0, 1, 0, 1)), conv(3, 2)),
        (nn.ConstantPad2d((1, 3, 0, 3), 0.0), conv((3, 5), 3)),
    ],
)
@pytest.mark.parametrize("size", [64, (128, 32)])
def test_in_true_geometry_a_slope_comes_back_where_it_was(layers, size):
    """Averages of a slope are its values at the centres; between them, interpolation is exact."""
    rows, columns = torch.arange(64.0)[:, None], torch.arange(64.0)
    cam = class_activation_maps(Averages(*layers), (rows + 3 * columns)[None, None])
    back = cam.resized(size, geometry="true").maps[0, 0]
    height, width = back.shape
    y = (torch.arange(height) + 0.5) * 64 / height - 0.5
    x = (torch.arange(width) + 0.5) * 64 / width - 0.5
    away = slice(height // 4, height // 2), slice(width // 4, width // 2)  # from the zeros around
    expected = y[:, None] + 3 * x
    torch.testing.assert_close(back[away], expected[away], rtol=0, atol=1e-3)


def test_two_strides_of_two_are_drawn_a_pixel_and_a_half_late_when_they_are_stretched():
    cam = class_activation_maps(
        Averages(conv(3, 2, 1), conv(3, 2, 1)), torch.arange(64.0).expand(1, 1, 64, 64)
    )
    late = cam.resized(64, geometry="true").maps - cam.resized(64).maps
    inner = late[..., 16:48, 16:48]
    torch.testing.assert_close(inner, torch.full_like(inner, 1.5), rtol=0, atol=1e-4)
    assert cam.centres == ((0, 4), (0, 4))


def test_true_geometry_goes_with_the_chosen_class_and_follows_a_change_of_type(net):
    cam = class_activation_maps(net.double(), images(dtype=torch.float64))
    whole = cam.resized((9, 7), geometry="true").maps
    assert torch.equal(cam.select(1).resized((9, 7), geometry="true").maps, whole[:, 1])
    assert whole.dtype == torch.float64


def test_cells_whose_places_are_not_known_are_not_put_anywhere(cam, net):
    with pytest.raises(ValueError, match="are not known: ask the maps that"):
        cam.resized(8, geometry="true")  # made by hand
    made = class_activation_maps(net, images())
    with pytest.raises(ValueError, match="before resizing them"):
        made.resized(40).resized(80, geometry="true")
    with pytest.raises(ValueError, match="geometry"):
        made.resized(8, geometry="exact")


@pytest.mark.parametrize("size", [0, (4, -1), (1, 2, 3), ()])
def test_a_size_that_is_not_one_or_two_positive_integers_is_refused(cam, size):
    with pytest.raises(ValueError, match="size"):
        cam.resized(size)


@pytest.mark.parametrize("size", [4.0, True, (4, 2.5), "12", None])
def test_a_size_that_is_not_an_integer_is_refused(cam, size):
    with pytest.raises(TypeError, match="size"):
        cam.resized(size)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("value", [5.0, 0.0, -3.0])
def test_flat_maps_become_zeros_with_a_flag(value, shared):
    cam = CAM(torch.full((2, 3, 4, 4), value), torch.full((2, 3), value), "features", "fc")
    for prepared in (cam.normalized(shared), cam.positive().resized(9).normalized(shared)):
        assert prepared.flat.all()
        assert not prepared.maps.any()


def test_a_negative_map_becomes_zeros_with_a_flag_and_others_do_not():
    maps = torch.tensor([[[[-3.0, -1.0]], [[-3.0, 1.0]]]])
    cam = CAM(maps, maps.mean((2, 3)), "features", "fc")
    assert cam.flat.tolist() == [[True, False]]
    normalized = cam.normalized()
    assert normalized.maps.tolist() == [[[[0, 0]], [[0, 1]]]]
    assert normalized.flat.tolist() == [[True, False]]
    assert normalized.select(0).flat.tolist() == [True]


def test_noise_of_rounding_is_not_blown_up_into_a_map():
    maps = 1 + 1e-7 * torch.randn(1, 1, 8, 8)
    prepared = CAM(maps, torch.ones(1, 1), "features", "fc").normalized()
    assert prepared.flat.all()
    assert not prepared.maps.any()


def test_one_shared_scale_keeps_maps_comparable():
    maps = torch.tensor([[[[0.0, 2.0]], [[4.0, 8.0]]], [[[6.0, 6.0]], [[-2.0, -1.0]]]])
    cam = CAM(maps, maps.mean((2, 3)), "features", "fc")
    shared = cam.normalized(shared=True)
    torch.testing.assert_close(shared.maps, (maps + 2) / 10)
    assert cam.flat.tolist() == [[False, False], [True, True]]


def test_the_maps_of_a_net_answer_the_pooling_with_nothing_lost(net):
    cam = class_activation_maps(net, images(3))
    chained = cam.select().positive().resized((40, 40)).normalized()
    assert chained.maps.shape == (3, 40, 40)
    assert chained.maps.min() >= 0
    assert chained.maps.max() <= 1
    assert torch.equal(chained.classes, cam.logits.argmax(1))


def test_a_flat_feature_map_never_gives_nan():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(average(x * 0 + 1))

    cam = class_activation_maps(Constant(), torch.rand(2, 2, 5, 5))
    assert not cam.normalized().maps.any()
