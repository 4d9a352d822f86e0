"""Drives the fake HubSpot by hubspot-api-client, in an environment of its own: URL TOKEN -> JSON of what it got.

The client refuses what lacks a field that HubSpot always gives, so that it also checks the form of each answer.
"""

import json
import sys

from hubspot import HubSpot
from hubspot.crm.associations.v4.models import BatchInputPublicFetchAssociationsBatchRequest as Fetch
from hubspot.crm.associations.v4.models import PublicFetchAssociationsBatchRequest as FetchOne
from hubspot.crm.deals.exceptions import ApiException
from hubspot.crm.deals.models import BatchReadInputSimplePublicObjectId as BatchRead
from hubspot.crm.deals.models import Filter, FilterGroup, PublicMergeInput, PublicObjectSearchRequest
from hubspot.crm.deals.models import SimplePublicObjectInput as Input
from hubspot.crm.deals.models import SimplePublicObjectInputForCreate as New
from hubspot.utils.signature import Signature
from urllib3.util.retry import Retry

url, token = sys.argv[1:]
patient = HubSpot(
    access_token=token,
    host=url,
    client_side_validation=True,
    retry=Retry(total=9, status_forcelist=(429,), allowed_methods=None, backoff_factor=0.01),
)
hasty = HubSpot(access_token=token, host=url, client_side_validation=True)
deals = patient.crm.deals


def link(to, number):
    return {"to": {"id": to}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}]}


def search(client, *, after="0", limit=100, sorts=1, name="dealname", value="Twin"):
    request = PublicObjectSearchRequest(
        filter_groups=[FilterGroup(filters=[Filter(property_name=name, operator="EQ", value=value)])],
        sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}] * sorts,
        properties=["dealname", "hs_is_closed_won"],
        limit=limit,
        after=after,
    )
    return client.crm.deals.search_api.do_search(public_object_search_request=request)


def status_of(ask, *args, **values):
    try:
        ask(*args, **values)
    except ApiException as error:
        return error.status
    return 200


company = patient.crm.companies.basic_api.create(New(properties={"name": "青葉商事"}, associations=[])).id
made = [
    deals.basic_api.create(
        New(properties={"dealname": "Twin", "dealstage": "closedwon"}, associations=[link(company, 5)])
    )
    for _ in range(5)
]
line = patient.crm.line_items.basic_api.create(
    New(properties={"price": "0.29", "quantity": "3"}, associations=[link(made[0].id, 20)])
)
pages, after = [], "0"
while after:
    page = search(patient, after=after, limit=2)
    pages.append([each.id for each in page.results])
    after = page.paging.next.after if page.paging else None
hurried = [status_of(search, hasty) for _ in range(12)]
fetched = patient.crm.associations.v4.batch_api.get_page(
    "deals", "line_items", Fetch(inputs=[FetchOne(id=made[0].id), FetchOne(id=made[1].id)])
)
deals.basic_api.update(made[2].id, Input(properties={"dealstage": "closedlost"}))
batch = deals.batch_api.read(
    BatchRead(inputs=[{"id": made[2].id}, {"id": "404"}], properties=["hs_is_closed_won"], properties_with_history=[])
)
merged = deals.basic_api.merge(PublicMergeInput(primary_object_id=made[0].id, object_id_to_merge=made[1].id))
deals.basic_api.archive(made[4].id)
got = {
    "created": [each.id for each in made],
    "line amount": line.properties["amount"],
    "pages": pages,
    "hurried": sorted(set(hurried)),
    "too many": status_of(search, patient, after="9990", limit=20),
    "two sorts": status_of(search, patient, sorts=2),
    "page too long": status_of(search, patient, limit=201),
    "body too long": status_of(search, patient, value="x" * 3000),
    "lines": {each._from.id: [str(to.to_object_id) for to in each.to] for each in fetched.results},
    "lines missing": fetched.num_errors,
    "batch": {each.id: each.properties["hs_is_closed_won"] for each in batch.results},
    "merged": merged.id,
    "old answers as": deals.basic_api.get_by_id(made[1].id).id,
    "merged ids": deals.basic_api.get_by_id(merged.id, properties=["hs_merged_object_ids"]).properties,
    "there": [each.id for each in deals.get_all()],
    "archived": [each.id for each in deals.basic_api.get_page(archived=True, limit=100).results],
    "missing": status_of(deals.basic_api.get_by_id, made[4].id),
    "wrong token": status_of(HubSpot(access_token="wrong", host=url).crm.deals.basic_api.get_page),
    "owners": [(each.id, each.email) for each in patient.crm.owners.get_all()],
    "stages": {
        stage.id: stage.metadata["isClosed"]
        for pipeline in patient.crm.pipelines.pipelines_api.get_all("deals").results
        for stage in pipeline.stages
    },
    "signature": Signature.get_signature(
        "client-secret", '[{"objectId": 7}]', "v3", "https://tenure.example.com/push?a=1", "POST", "1773144000000"
    ),
}
sys.stdout.write(json.dumps(got))
