"""URLs to which nothing may ever be sent, for every test that tries to."""

from integrations.addresses import IANA_IPV4, IANA_IPV6

# An IPv4 address inside an IPv6 address that looks like another.
EMBEDDED = (
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b:1:ffff:ffff:ffff:8.8.8.8",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001::f5ff:fffe",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
    "2606:4700::5efe:8.8.8.8",
)
# Hosts that are neither a name nor an address in its usual form, whatever some readers make of them.
ODD_SPELLINGS = (
    "127.1",
    "127.0.1",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.0x1",
    "1.1.1.1.1",
    "256.1.1.1",
    "8.8.8.8.",
    "[127.0.0.1]",
    "[abc]",
    "[::1",
    "::1",
    "[::ffff:127.1]",
    "[1::2::3]",
    "[fe80::1%25eth0]",
    "[fe80::1%eth0]",
    "１２７.０.０.１",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "localhost。",
    "ﬀ.example.com",
    "ⅼocalhost",
    "ex%61mple.com",
    "example.com.",
    "example..com",
    ".example.com",
    "-a.example.com",
    "a" * 64 + ".example.com",
    ".".join(["a" * 60] * 5),
    "",
)
# Not one plain URL, though the host may be a good one.
NO_URLS = (
    "",
    "hooks.example.com",
    "//hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "https:/hooks.example.com/",
    "https:hooks.example.com",
    "https://user@hooks.example.com/",
    "https://user:word@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com:443@127.0.0.1/",
    "https://@hooks.example.com/",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/\r\nHost: inside",
    "https://hooks.example.com/\n",
    "\thttps://hooks.example.com/",
    " https://hooks.example.com/",
    "https://hooks.example.com/ a",
    "https://hooks.exa\u00admple.com/",
    "https://hooks.example.com/\u202e",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com/\x7f",
    "https://hooks.example.com/é",
    "https://hooks.example.com/#part",
    "https://hooks.example.com:/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:0443/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:99999999999/",
    "https://hooks.example.com:+443/",
    "https://hooks.example.com:４４３/",
    "https://hooks.example.com:443:443/",
    "https://hooks.example.com/" + "a" * 2000,
)
SPECIAL = tuple(block.partition("/")[0] for block, _ in (*IANA_IPV4, *IANA_IPV6))
MULTICAST = ("224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1", "fec0::1")
METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")


def url_of(host: str) -> str:
    return f"https://[{host}]/in" if host.count(":") > 1 and "[" not in host else f"https://{host}/in"


FORBIDDEN_URLS = tuple(
    dict.fromkeys(
        [
            *(url_of(host) for host in (*SPECIAL, *EMBEDDED, *MULTICAST, *METADATA)),
            *(f"https://{host}/in" for host in ODD_SPELLINGS),
            *NO_URLS,
        ]
    )
)
