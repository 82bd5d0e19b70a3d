package enrolauth

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// Claimed returns the device that somebody who was not proved claims to be, for operators
// alone: it proves nothing. It is what the request names, else whom the user name or the
// secret's id stands for, else the subject of the client certificate; "" where nothing of
// it names one.
func (s *Service) Claimed(ctx context.Context, label string, p Presented) pki.DeviceID {
	tenant, endpoint, _ := strings.Cut(label, ".")
	return cmp.Or(p.Device, s.ofUser(ctx, pki.TenantID(tenant), endpoint, &p), ofSubject(p.Certificates))
}

// ofUser returns the device that a user name names, or is of the secret whose id came. A
// name that the tenant has for no device is left out: some clients send their secret as
// the user, too, and a name that only resembles one may be it.
func (s *Service) ofUser(ctx context.Context, tenant pki.TenantID, endpoint string, p *Presented) pki.DeviceID {
	if device := pki.DeviceID(p.User); p.User != "" && pki.CheckDevice(device) == nil {
		if _, known, err := s.cfg.Registry.Where(ctx, tenant, device); known && err == nil {
			return device
		}
		if of, err := s.cfg.Store.Secrets(ctx, tenant, Filter{Endpoint: endpoint, Device: device}, "", 1); err == nil && len(of) > 0 {
			return device
		}
	}
	id, random := idOf(p.Secret.Reveal())
	if !random {
		id = pki.SecretID(p.User)
	}
	if len(id) != idLength {
		return ""
	}
	found, err := s.cfg.Store.Secret(ctx, tenant, id)
	if err != nil {
		return ""
	}
	return found.Device
}

// oidCMCRA is id-kp-cmcRA, RFC 6402, 2.10.
var oidCMCRA = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 28}

// OfRA reports whether a certificate says that it is an RA's, which is no device.
func OfRA(c *x509.Certificate) bool {
	return slices.ContainsFunc(c.UnknownExtKeyUsage, oidCMCRA.Equal)
}

// ofSubject returns the device that the subject of a client's own certificate names.
func ofSubject(presented []*x509.Certificate) pki.DeviceID {
	if len(presented) == 0 || OfRA(presented[0]) {
		return ""
	}
	subject := presented[0].Subject
	device := pki.DeviceID(cmp.Or(subject.SerialNumber, subject.CommonName))
	if pki.CheckDevice(device) != nil {
		return ""
	}
	return device
}

// certificate says which client certificate did not prove its holder, where nothing else
// could have.
func (p *Presented) certificate() string {
	if len(p.Certificates) == 0 || p.User != "" || !p.Secret.IsZero() || !p.Token.IsZero() || p.Asked != "" {
		return ""
	}
	c := p.Certificates[0]
	return fmt.Sprintf(" (presented: serial %.40s, issuer %.100q, subject %.100q)", c.SerialNumber.Text(16), c.Issuer.String(), c.Subject.String())
}
