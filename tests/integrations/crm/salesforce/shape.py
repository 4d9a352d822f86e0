"""The objects and fields of the fake Salesforce: those that are used here, named and typed as Salesforce's are."""

from collections.abc import Mapping
from dataclasses import dataclass

CUSTOM = "__c"


@dataclass(frozen=True)
class Field:
    """`type` as a description names it; `link` is (relationship, object) of a reference."""

    type: str
    link: tuple[str, str] | None = None
    values: tuple[str, ...] = ()
    is_key: bool = False  # an external id, unique
    is_needed: bool = False


TEXT, LONG, DAY, NUMBER, FLAG, MONEY = (
    Field(kind) for kind in ("string", "textarea", "date", "double", "boolean", "currency")
)
NAME = Field("string", is_needed=True)
KEY = Field("string", is_key=True)
STAMPS = {
    "Id": Field("id"),
    "CreatedDate": Field("datetime"),
    "LastModifiedDate": Field("datetime"),
    "SystemModstamp": Field("datetime"),
    "CreatedById": Field("reference", ("CreatedBy", "User")),
}
DELETABLE = {**STAMPS, "IsDeleted": FLAG}
OWNED = {**DELETABLE, "OwnerId": Field("reference", ("Owner", "User"))}
MERGEABLE = {"MasterRecordId": Field("reference", ("MasterRecord", "Account"))}
TYPES = (
    *("New Customer", "Renewal", "Existing Customer - Upgrade", "Existing Customer - Downgrade"),
    *("Cancellation", "Barter"),
)

SHAPE: dict[str, dict[str, Field]] = {
    "User": {
        **STAMPS,
        **dict.fromkeys(("Name", "Username", "Email", "Phone", "Title", "UserType"), TEXT),
        "IsActive": FLAG,
    },
    "Organization": {**STAMPS, "Name": TEXT, "IsSandbox": FLAG},
    "CurrencyType": {**STAMPS, "IsoCode": TEXT, "IsCorporate": FLAG},
    "Account": {
        **OWNED,
        **MERGEABLE,
        "Name": NAME,
        "ParentId": Field("reference", ("Parent", "Account")),
        "Industry": Field("picklist", values=("Manufacturing", "Retail")),
        "BillingCountry": TEXT,
        "NumberOfEmployees": Field("int"),
        "AccountSource": Field("picklist", values=("Web", "Partner")),
        "Segment__c": Field("picklist", values=("small", "large")),
        "Health__c": TEXT,
        "Ltv__c": MONEY,
        "Renews_On__c": DAY,
    },
    "Contact": {
        **OWNED,
        **MERGEABLE,
        "Name": NAME,
        "AccountId": Field("reference", ("Account", "Account")),
        **dict.fromkeys(("Email", "Phone", "Title"), TEXT),
        "Left_On__c": DAY,
    },
    "Product2": {**DELETABLE, "Name": NAME, "ProductCode": TEXT, "Family": TEXT, "IsActive": FLAG},
    "Campaign": {**OWNED, "Name": NAME},
    "Pricebook2": {**DELETABLE, "Name": NAME, "IsStandard": FLAG},
    "PricebookEntry": {
        **DELETABLE,
        "Pricebook2Id": Field("reference", ("Pricebook2", "Pricebook2")),
        "Product2Id": Field("reference", ("Product2", "Product2")),
        "UnitPrice": MONEY,
        "IsActive": FLAG,
    },
    "OpportunityStage": {
        **STAMPS,
        **dict.fromkeys(("ApiName", "MasterLabel"), TEXT),
        **dict.fromkeys(("IsWon", "IsClosed", "IsActive"), FLAG),
        "SortOrder": Field("int"),
    },
    "TaskStatus": {**STAMPS, "ApiName": TEXT, "IsClosed": FLAG, "IsDefault": FLAG, "SortOrder": Field("int")},
    "Opportunity": {
        **OWNED,
        "Name": NAME,
        "AccountId": Field("reference", ("Account", "Account")),
        "StageName": Field("picklist", is_needed=True),
        "IsWon": FLAG,
        "IsClosed": FLAG,
        "CloseDate": Field("date", is_needed=True),
        "Amount": MONEY,
        "Type": Field("picklist", values=TYPES),
        "LeadSource": Field("picklist", values=("Web", "Partner")),
        "CampaignId": Field("reference", ("Campaign", "Campaign")),
        "Pricebook2Id": Field("reference", ("Pricebook2", "Pricebook2")),
        "Description": LONG,
        "Renewal_Of__c": Field("reference", ("Renewal_Of__r", "Opportunity")),
        "Cancels_On__c": DAY,
        "Cause__c": TEXT,
        "Goal__c": LONG,
        "Wish__c": LONG,
        "Go_Live__c": DAY,
        "Term__c": TEXT,
        "Tenure_Key__c": KEY,
    },
    "OpportunityLineItem": {
        **DELETABLE,
        "OpportunityId": Field("reference", ("Opportunity", "Opportunity"), is_needed=True),
        "PricebookEntryId": Field("reference", ("PricebookEntry", "PricebookEntry")),
        "Product2Id": Field("reference", ("Product2", "Product2")),
        "Quantity": Field("double", is_needed=True),
        "UnitPrice": MONEY,
        "TotalPrice": MONEY,
        "Discount": Field("percent"),
        "ServiceDate": DAY,
        "Kind__c": Field("picklist", values=("Recurring", "One-Time", "Mystery")),
        "Billing__c": Field("picklist", values=("Monthly", "Annual")),
        "Term__c": NUMBER,
        "Ends_On__c": DAY,
    },
    "Task": {
        **OWNED,
        "WhatId": Field("reference", ("What", "Account")),
        "Subject": TEXT,
        "Description": LONG,
        "Status": Field("picklist"),
        "ActivityDate": DAY,
        "Tenure_Key__c": KEY,
    },
}
PREFIXES: Mapping[str, str] = {
    "User": "005",
    "Organization": "00D",
    "CurrencyType": "01L",
    "Account": "001",
    "Contact": "003",
    "Product2": "01t",
    "Campaign": "701",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Opportunity": "006",
    "OpportunityLineItem": "00k",
    "OpportunityStage": "01J",
    "TaskStatus": "01K",
    "Task": "00T",
}
WITH_CURRENCY = ("Account", "Opportunity", "OpportunityLineItem", "PricebookEntry")
BELOW = {"OpportunityLineItems": ("OpportunityLineItem", "OpportunityId")}


def describe(sobject: str, *, fields: Mapping[str, Field]) -> dict[str, object]:
    return {
        "name": sobject,
        "fields": [
            {
                "name": name,
                "label": name.removesuffix(CUSTOM).replace("_", " "),
                "type": field.type,
                "custom": name.endswith(CUSTOM),
                "relationshipName": field.link[0] if field.link else None,
                "referenceTo": [field.link[1]] if field.link else [],
                "externalId": field.is_key,
                "unique": field.is_key,
                "filterable": field.type != "textarea",
                "picklistValues": [{"value": value, "label": value, "active": True} for value in field.values],
            }
            for name, field in fields.items()
        ],
    }
