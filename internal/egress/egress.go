// Package egress says where pando connects to by itself, when a URL is somebody else's
// word: a tenant's, or that of a service that was asked.
//
// Names are looked at after they were resolved, at each connection, so that one which
// leads to the internet first and to this machine's neighbours later gains nothing. It
// knows no HTTP: who connects follows no redirect.
package egress

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/pando-pki/pando/internal/pki"
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

// Check refuses, after the name was resolved, addresses that nothing is fetched from: what
// is near needs to be in one of the networks, and the machine itself is asked only where
// loopback says so besides.
func Check(address string, networks []netip.Prefix, loopback bool) error {
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
	return fmt.Errorf("nothing is fetched from %s", ip)
}

// dialTimeout bounds the making of a connection.
const dialTimeout = 5 * time.Second

// Dialer returns a dialer that connects to nothing that Check refuses.
func Dialer(networks []netip.Prefix, loopback bool) *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return Check(address, networks, loopback)
	}}
}

// CheckURL reports as Malformed what cannot be the URL of a service: it is https, or http
// to this machine, without a user.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return pki.Errorf(pki.Malformed, "write a URL, as https://service.example.com/pando, without a user or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return pki.Errorf(pki.Malformed, "a URL begins with https://; http:// is for this machine alone")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
