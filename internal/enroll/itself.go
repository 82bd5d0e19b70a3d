package enroll

import (
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// ofItself sees that a device which enrols by its own certificate asks for nothing but
// a certificate for itself: its id in the request and in the CSR's subject, wherever
// one stands there, and no word about where it belongs.
func ofItself(g access.Grant, r *Subject) error {
	own := g.Principal().Device
	if r.Device == "" {
		r.Device = own
	}
	csr, err := tbs.ParseCSR(r.CSR)
	if err != nil {
		return err
	}
	for _, id := range []string{string(r.Device), csr.Subject.Get(der.OIDSerialNumber), csr.Subject.Get(der.OIDCommonName)} {
		if id == "" {
			continue
		}
		if err := g.CheckDevice(pki.DeviceID(id)); err != nil {
			return err
		}
	}
	if r.Placement != (pki.Placement{}) || len(r.Attributes) > 0 {
		return pki.Errorf(pki.Forbidden, "a device does not say where it belongs: leave product line, lot, site and attributes out")
	}
	return nil
}
