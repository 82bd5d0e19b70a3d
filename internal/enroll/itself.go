package enroll

import (
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// ofItself sees that a device which enrols by its own certificate asks for nothing but
// a certificate for itself: its id in the request and in the CSR's subject, wherever
// one stands there, names that are its own, and no word about where it belongs. It
// holds for all that stands in the CSR, since a profile may draw on all of it.
func ofItself(g access.Permit, lane *Lane, r *Subject) error {
	where := lane.Where(pki.Placement{})
	own := g.Principal().Device
	if r.Device == "" {
		r.Device = own
	}
	if err := g.CheckDevice(r.Device, where); err != nil {
		return err
	}
	csr, err := tbs.ParseCSR(r.CSR)
	if err != nil {
		return err
	}
	if g.Principal().CSRSubject == "" { // else all of it is said
		if err := ownSubject(g, where, csr.Subject); err != nil {
			return err
		}
	}
	if err := ownNames(g.Principal(), where, lane.Endpoint.Names, csr.Names); err != nil {
		return err
	}
	if r.Placement != (pki.Placement{}) || len(r.Attributes) > 0 {
		return access.Refuse(access.Enroll, where, "a device does not say where it belongs: leave product line, lot, site and attributes out")
	}
	return nil
}

// ownSubject refuses a subject that is not the device's own: its id stands there where
// an id may, and everything else as in its certificate.
func ownSubject(g access.Permit, where access.Scope, subject tbs.Name) error {
	var had tbs.Name
	if own := g.Principal().Subject; own != nil {
		had, _ = tbs.ParseName(own) // what cannot be read gives nothing
	}
	for _, a := range subject {
		if slices.ContainsFunc(had, func(o tbs.Attribute) bool { return o.OID == a.OID && o.Value == a.Value }) {
			continue
		}
		if a.OID != der.OIDSerialNumber && a.OID != der.OIDCommonName {
			return access.Refuse(access.Enroll, where, "the subject's %s is not as in this device's certificate; leave it out", tbs.Name{{OID: a.OID, Type: a.Type, Value: a.Value}})
		}
		if err := g.CheckDevice(pki.DeviceID(a.Value), where); err != nil {
			return err
		}
	}
	return nil
}

// ownNames refuses names that are not the device's own. Its own are those of its
// certificate, and those that the endpoint's names make with its id: its id below
// "*.example.com", or after "urn:meter:". That an endpoint authorises a name says that
// its devices may have such names, not which device has this one.
func ownNames(who access.Principal, where access.Scope, authorized pki.Names, names []tbs.GeneralName) error {
	var had []tbs.GeneralName
	if who.Names != nil && len(names) > 0 {
		had, _ = tbs.ParseGeneralNames(who.Names) // what cannot be read gives no names
	}
	for _, n := range names {
		text := n.Text
		ok := slices.ContainsFunc(had, n.Equal)
		switch n.Kind {
		case tbs.DNSName:
			label, parent, _ := strings.Cut(n.Text, ".")
			ok = ok || strings.EqualFold(label, string(who.Device)) && slices.Contains(authorized.DNS, "*."+parent)
		case tbs.URI:
			prefix, itself := strings.CutSuffix(n.Text, string(who.Device))
			ok = ok || itself && (strings.HasSuffix(prefix, ":") || strings.HasSuffix(prefix, "/")) && slices.Contains(authorized.URI, prefix)
		case tbs.HardwareModuleName:
			text, ok = string(n.HWSerial), ok || string(n.HWSerial) == string(who.Device)
		case tbs.OtherGeneralName: // no profile draws on it
			ok = true
		}
		if !ok {
			return access.Refuse(access.Enroll, where, "the name %.260q is not this device's own: it is not in its certificate, and no name of the endpoint makes it with the device's id; leave it out, or have somebody enrol the device who may", text)
		}
	}
	return nil
}
