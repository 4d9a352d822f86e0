"""Drives the fake as others drive Salesforce: by simple-salesforce, in an environment of its own; prints what it got.

It asks https of every host; an adapter of its session leads all of that to the fake, over http on loopback.
Run as `outside_client.py URL CLIENT_ID USERNAME KEY_FILE ACCOUNT`.
"""

import json
import sys
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

URL, CLIENT_ID, USERNAME, KEY_FILE, ACCOUNT = sys.argv[1:]


class ToTheFake(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = f"{URL}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        return super().send(request, **kwargs)


def code_of(ask: Any) -> str:
    try:
        ask()
    except SalesforceError as error:
        return f"{type(error).__name__} {error.content[0]['errorCode']}"
    return "none"


session = requests.Session()
session.trust_env = False
session.mount("https://", ToTheFake())
crm = Salesforce(username=USERNAME, consumer_key=CLIENT_ID, privatekey_file=KEY_FILE, session=session, version="62.0")
deals = crm.query_all(
    "SELECT Id, Name, Amount, IsWon, Campaign.Name, (SELECT Quantity, TotalPrice FROM OpportunityLineItems) "  # noqa: S608
    f"FROM Opportunity WHERE AccountId = '{ACCOUNT}' AND CloseDate >= 2026-01-01 ORDER BY SystemModstamp, Id"
)
opened = crm.Opportunity.create(
    {"Name": "By another", "StageName": "Prospecting", "CloseDate": "2026-06-01", "AccountId": ACCOUNT}
)
got = {
    "deals": deals["records"],
    "deleted too": crm.query("SELECT COUNT() FROM Opportunity", include_deleted=True)["totalSize"],
    "living": crm.query("SELECT COUNT() FROM Opportunity")["totalSize"],
    "fields": [field["name"] for field in crm.Opportunity.describe()["fields"]],
    "created": crm.Opportunity.get(opened["id"]),
    "updated": crm.Opportunity.update(opened["id"], {"Name": "Renamed"}),
    "upserted": [crm.Task.upsert("Tenure_Key__c/a", {"Subject": subject, "WhatId": ACCOUNT}) for subject in "xy"],
    "tasks": crm.query("SELECT Subject FROM Task WHERE Tenure_Key__c = 'a'")["records"],
    "removed": crm.Opportunity.delete(opened["id"]),
    "no such field": code_of(lambda: crm.query("SELECT Nonsense FROM Account")),
    "no such object": code_of(lambda: crm.query("SELECT Id FROM Nonsense")),
    "no query": code_of(lambda: crm.query("SELECT FROM Account")),
    "both without parentheses": code_of(
        lambda: crm.query("SELECT Id FROM Account WHERE Id = 'a' OR Id = 'b' AND Id = 'c'")
    ),
    "an instant in quotes": code_of(lambda: crm.query("SELECT Id FROM Account WHERE SystemModstamp > '2026'")),
    "a long text asked for": code_of(lambda: crm.query("SELECT Id FROM Task WHERE Description = 'a'")),
    "not there": code_of(lambda: crm.Opportunity.get("006000000000000AAA")),
    "usage": list(crm.api_usage["api-usage"]),
}
crm.session_id = "stale"
crm.headers["Authorization"] = "Bearer stale"
got["after its token was lost"] = crm.query("SELECT COUNT() FROM Account")["totalSize"]
print(json.dumps(got))  # noqa: T201  its answer
