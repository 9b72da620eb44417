"""The approvals of a CetaceanModel, as far as the user may read them."""

from __future__ import annotations

from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api.model_approval import Approvals, parse_approvals


def read_approvals(resource: CetaceanModel, cluster: Cluster) -> Approvals:
    """Return the approvals of a resource; none are read if it asks for none."""
    if resource.spec.approval is None:
        return Approvals()
    try:
        return Approvals(parse_approvals(cluster.approvals(resource.raw["metadata"]["name"])))
    except (BadInputError, RefusedError) as error:
        return Approvals(unreadable=error.format_message())
