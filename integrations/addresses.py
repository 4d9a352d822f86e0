"""Which addresses are public: our own deny list.

Every row of IANA's two registries of special-purpose addresses (as of 2025-10-09) is refused, also
those that it calls globally reachable: they are relays, anycast services and identifiers, and
nobody receives messages there. Forms that carry an IPv4 address inside (v4-mapped, v4-compatible,
NAT64, 6to4, Teredo, ISATAP) are refused whole rather than unpacked. Of IPv6, only what IANA has
made global unicast (2000::/3) can be public at all.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IANA_IPV4 = (
    ("0.0.0.0/8", "This network"),
    ("0.0.0.0/32", "This host on this network"),
    ("10.0.0.0/8", "Private-Use"),
    ("100.64.0.0/10", "Shared Address Space"),
    ("127.0.0.0/8", "Loopback"),
    ("169.254.0.0/16", "Link Local"),
    ("172.16.0.0/12", "Private-Use"),
    ("192.0.0.0/24", "IETF Protocol Assignments"),
    ("192.0.0.0/29", "IPv4 Service Continuity Prefix"),
    ("192.0.0.8/32", "IPv4 dummy address"),
    ("192.0.0.9/32", "Port Control Protocol Anycast"),
    ("192.0.0.10/32", "Traversal Using Relays around NAT Anycast"),
    ("192.0.0.170/32", "NAT64/DNS64 Discovery"),
    ("192.0.0.171/32", "NAT64/DNS64 Discovery"),
    ("192.0.2.0/24", "Documentation (TEST-NET-1)"),
    ("192.31.196.0/24", "AS112-v4"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)"),
    ("192.88.99.2/32", "6a44-relay anycast address"),
    ("192.168.0.0/16", "Private-Use"),
    ("192.175.48.0/24", "Direct Delegation AS112 Service"),
    ("198.18.0.0/15", "Benchmarking"),
    ("198.51.100.0/24", "Documentation (TEST-NET-2)"),
    ("203.0.113.0/24", "Documentation (TEST-NET-3)"),
    ("240.0.0.0/4", "Reserved"),
    ("255.255.255.255/32", "Limited Broadcast"),
)
IANA_IPV6 = (
    ("::1/128", "Loopback Address"),
    ("::/128", "Unspecified Address"),
    ("::ffff:0:0/96", "IPv4-mapped Address"),
    ("64:ff9b::/96", "IPv4-IPv6 Translat."),
    ("64:ff9b:1::/48", "IPv4-IPv6 Translat."),
    ("100::/64", "Discard-Only Address Block"),
    ("100:0:0:1::/64", "Dummy IPv6 Prefix"),
    ("2001::/23", "IETF Protocol Assignments"),
    ("2001::/32", "TEREDO"),
    ("2001:1::1/128", "Port Control Protocol Anycast"),
    ("2001:1::2/128", "Traversal Using Relays around NAT Anycast"),
    ("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast"),
    ("2001:2::/48", "Benchmarking"),
    ("2001:3::/32", "AMT"),
    ("2001:4:112::/48", "AS112-v6"),
    ("2001:10::/28", "Deprecated (previously ORCHID)"),
    ("2001:20::/28", "ORCHIDv2"),
    ("2001:30::/28", "Drone Remote ID Protocol Entity Tags (DETs) Prefix"),
    ("2001:db8::/32", "Documentation"),
    ("2002::/16", "6to4"),
    ("2620:4f:8000::/48", "Direct Delegation AS112 Service"),
    ("3fff::/20", "Documentation"),
    ("5f00::/16", "Segment Routing (SRv6) SIDs"),
    ("fc00::/7", "Unique-Local"),
    ("fe80::/10", "Link-Local Unicast"),
)
# Not in those registries, and no place for a message either.
OTHERS = (
    ("168.63.129.16/32", "Azure's platform address, which only machines inside reach"),
    ("224.0.0.0/4", "Multicast"),
    ("ff00::/8", "Multicast"),
    ("::/96", "IPv4-compatible (deprecated)"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("fec0::/10", "Site-local (deprecated)"),
)

GLOBAL_UNICAST = IPv6Network("2000::/3")
# RFC 5214: the last 64 bits of an address are 0000:5efe or 0200:5efe, then an IPv4 address.
ISATAP, ISATAP_MASK = 0x00005EFE << 32, 0xFDFFFFFF << 32

_ROWS = [(ip_network(block), name) for block, name in (*IANA_IPV4, *IANA_IPV6, *OTHERS)]
DENIED: tuple[tuple[Network, str], ...] = tuple(sorted(_ROWS, key=lambda row: -row[0].prefixlen))


def special_purpose(address: Address) -> str | None:
    """The name of the narrowest special range that holds an address; None if it is public."""
    name = next((name for network, name in DENIED if address in network), None)
    if name is not None or isinstance(address, IPv4Address):
        return name
    if address.scope_id is not None or address not in GLOBAL_UNICAST:
        return "Not global unicast"
    return "ISATAP" if int(address) & ISATAP_MASK == ISATAP else None
