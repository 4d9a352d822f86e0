"""Which addresses are public: every range of the registries, what carries an address inside, and what lies beside."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from integrations.addresses import DENIED, IANA_IPV4, IANA_IPV6, special_purpose
from tests.forbidden_urls import EMBEDDED, METADATA, MULTICAST

PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.88.98.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::",
    "2001:db7:ffff::1",
    "2001:db9::",
    "2003::",
    "2606:4700:4700::1111",
    "2620:4f:8001::",
    "3ffe::",
    "2606:4700::100:5efe:a00:1",
)


@pytest.mark.parametrize(("block", "name"), [*IANA_IPV4, *IANA_IPV6], ids=lambda text: text)
def test_a_range_of_the_registries_is_refused_from_its_first_address_to_its_last(block: str, name: str) -> None:
    network = ip_network(block)
    middle = network[network.num_addresses // 2]
    for address in (network[0], middle, network[-1]):
        assert special_purpose(address) is not None, address
    assert name in {special_purpose(network[0]), special_purpose(network[-1])}


def test_the_registries_are_whole() -> None:
    assert (len(IANA_IPV4), len(IANA_IPV6)) == (26, 25)  # as of 2025-10-09, the two NAT64/DNS64 hosts each on its own


@pytest.mark.parametrize("text", EMBEDDED)
def test_an_address_inside_another_is_refused(text: str) -> None:
    assert special_purpose(ip_address(text)) is not None


@pytest.mark.parametrize("text", [*MULTICAST, *METADATA, "4000::1", "::2:0:0:0"])
def test_multicast_metadata_and_what_was_never_given_out_is_refused(text: str) -> None:
    assert special_purpose(ip_address(text)) is not None


def test_an_address_of_one_interface_only_is_refused() -> None:
    assert special_purpose(ip_address("2606:4700::1%eth0")) == "Not global unicast"


@pytest.mark.parametrize("text", PUBLIC)
def test_what_lies_beside_the_ranges_is_public(text: str) -> None:
    assert special_purpose(ip_address(text)) is None


def test_nothing_that_the_standard_library_calls_not_global_is_public_here() -> None:
    draw = random.Random(20251009)  # noqa: S311  a fixed draw
    addresses: list[IPv4Address | IPv6Address] = [IPv4Address(draw.getrandbits(32)) for _ in range(20_000)]
    addresses += [
        IPv6Address(prefix << 112 | draw.getrandbits(112)) for prefix in (0x2001, 0x2002, 0x64, 0x3FFF) * 2_000
    ]
    addresses += [edge for network, _ in DENIED for edge in (network[0], network[-1])]
    assert [address for address in addresses if not address.is_global and special_purpose(address) is None] == []


def test_the_standard_library_would_let_pass_what_is_refused_here() -> None:
    """Why the list is our own: of these, `ipaddress` of some supported Python says that they are global.

    Its tables are older than the registries' latest rows (3fff::/20, 5f00::/16, 100:0:0:1::/64), leave out
    deprecated forms (::/96, fec0::/10, 6to4), know multicast by another name, and take "globally
    reachable" for relays and anycast services, where nobody receives a message.
    """
    passed = {
        str(network)
        for network, _ in DENIED
        if network[0].is_global or network[-1].is_global or network[network.num_addresses // 2].is_global
    }
    for block in ("224.0.0.0/4", "ff00::/8", "::/96", "fec0::/10", "64:ff9b::/96", "192.31.196.0/24"):
        assert block in passed
