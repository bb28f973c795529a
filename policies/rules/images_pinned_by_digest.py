"""SUP-001: images come from known registries and are named by their content, not by a tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from pulumi_policy import EnforcementLevel, Severity
from pydantic import BaseModel, ConfigDict, Field

from policies.objects import Resource
from policies.pods import pod_of, pod_owners, pod_subjects
from policies.rule import Report, Rule, Settings
from serving.images.pinned import IMAGES
from serving.images.reference import ImageReference, read_reference

REGISTRIES = ("docker.io", "ghcr.io", "nvcr.io", "public.ecr.aws", "quay.io", "registry.k8s.io")
"""Where the projects publish whose images a serving platform runs."""


class UnpinnedImage(BaseModel):
    """One image that may run by its tag for a while, wherever it is used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(min_length=1, description="the image as the container names it")
    reason: str = Field(min_length=10, description="why it has no digest, for the next reader")
    expires: date = Field(description="last day on which that is accepted, such as 2027-01-31")


class Sup001Settings(Settings):
    registries: tuple[str, ...] = Field(
        default=REGISTRIES,
        description="registries that images may come from, each a host, or a host and the beginning of a "
        "repository such as 123456789012.dkr.ecr.us-east-1.amazonaws.com/mirror",
    )
    unpinned: tuple[UnpinnedImage, ...] = Field(
        default=tuple(
            UnpinnedImage(image=row.reference, reason=row.waiver.reason, expires=row.waiver.expires)
            for row in IMAGES.values()
            if row.waiver is not None
        ),
        description="images that may run without a digest until a day; by default the waivers of "
        "serving/images/data/images.yaml",
    )


def judge(resources: Sequence[Resource], settings: Sup001Settings, report: Report) -> None:
    for owner in pod_owners(resources):
        with report.judging(owner.identity, owner.urn) as violation:
            pod = pod_of(owner)
            places = [(f"container {one.name}", one.section, "image") for one in pod.all_containers()]
            for volume in pod.spec.sections("volumes"):
                if volume.has("image"):
                    places.append((f"volume {volume.text('name')}", volume.section("image"), "reference"))
            for place, section, key in places:
                # Each by itself: an image that is not known yet must not excuse the others.
                with report.judging(owner.identity, owner.urn):
                    for problem in _problems(section.text(key) or "", settings, report.today):
                        violation(f"{place} {problem}")


def _problems(image: str, settings: Sup001Settings, today: date) -> Iterator[str]:
    if not image:
        yield "names no image"
        return
    reference = read_reference(image)
    if not any(_is_from(reference, registry) for registry in settings.registries):
        yield (
            f"runs {image} from {reference.registry}, which is none of the registries "
            f"{', '.join(settings.registries)}: use one of them, or add it to `registries`"
        )
    if reference.pinned:
        return
    accepted = next((entry for entry in settings.unpinned if entry.image == image), None)
    if accepted is None:
        yield (
            f"runs {image}, which is pinned by no digest and may be another image tomorrow: write "
            "repository:tag@sha256:..."
        )
    elif today > accepted.expires:
        yield (
            f"runs {image} without a digest, which was accepted until {accepted.expires} "
            f"({accepted.reason}): run `make pin-images`, or agree on another date in "
            "serving/images/data/images.yaml"
        )


def _is_from(reference: ImageReference, registry: str) -> bool:
    return reference.name == registry or reference.name.startswith(f"{registry.rstrip('/')}/")


RULE = Rule(
    id="SUP-001",
    description="Images come from known registries and are pinned by digest.",
    remediation="Name images as repository:tag@sha256:... `make pin-images` does it for "
    "serving/images/data/images.yaml.",
    severity=Severity.HIGH,
    level=EnforcementLevel.MANDATORY,
    scope="resource",
    settings=Sup001Settings,
    subjects=pod_subjects,
    judge=judge,
)
