"""Whether an image speaks what this operator understands, as far as its tag tells."""

from __future__ import annotations

from sftrun_api import versions
from sftrun_api.reasons import Reason, explain
from sftrun_operator.plans import texts
from sftrun_operator.plans.acceptance import Verdict
from sftrun_operator.plans.views import View


def unsupported(view: View, image: str | None) -> Verdict | None:
    """Returns why no pod is started from the image; `None` where it can be, or where nobody can tell."""
    if not image:
        return None
    config = view.config
    details = versions.mismatch(image, own_image=config.trainer_image, releases=config.releases)
    if not details:
        return None
    problem = explain(Reason.UNSUPPORTED_IMAGE, image=texts.clean(image, 300), details=details)
    return Verdict(spec=None, reason=Reason.UNSUPPORTED_IMAGE, problems=(problem,))
