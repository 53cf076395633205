"""Lists incidents with the client that openapi-python-client generates: list_incidents.py URL."""

import os
import sys

from kgrca_client import AuthenticatedClient
from kgrca_client.api.incidents import list_incidents

client = AuthenticatedClient(
    base_url=sys.argv[1],
    token=os.environ["KGRCA_API_KEY"],
    raise_on_unexpected_status=True,
)
for incident in list_incidents.sync(client=client).items:
    print(incident.incident_id, incident.state.value, incident.component)
