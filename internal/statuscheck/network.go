package statuscheck

import (
	"fmt"
	"net/netip"
	"slices"
)

// near are the networks that are not of the internet (RFC 6890 and the registries that
// it began), and those through which IPv6 reaches any address of IPv4: what is there is
// asked only where the operator says so.
func near() []netip.Prefix {
	return prefixes(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "240.0.0.0/4",
		"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fec0::/10")
}

// never are addresses, beside link-local ones, where a cloud keeps credentials or answers
// its own machines, and the way to them by IPv6 (RFC 6052).
func never() []netip.Prefix {
	return prefixes("fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32", "64:ff9b::/96")
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, text := range all {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func within(ip netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// checkAddress refuses, after the name was resolved, addresses that no status is
// fetched from: what is near needs to be in one of the networks, and the machine itself
// is asked for test authorities alone besides.
func checkAddress(address string, networks []netip.Prefix, loopback bool) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), within(ip, never()):
	case ip.IsLoopback() && !loopback:
	case within(ip, near()) && !within(ip, networks):
	default:
		return nil
	}
	return fmt.Errorf("no status is fetched from %s", ip)
}
