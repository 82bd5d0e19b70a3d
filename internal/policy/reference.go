package policy

import (
	"embed"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
)

//go:embed reference/*.yaml
var referenceFiles embed.FS

// ResponderProfile is the name of the profile that each tenant publishes for the
// OCSP responders of its authorities.
const ResponderProfile = "ocsp-responder"

// Reference returns the names of the reference profiles. The order is that of
// the arcs of their policies, 1.3.6.1.4.1.32473.2.1 and up: a demonstration arc
// (RFC 5612), for which a tenant sets its own.
func Reference() []string {
	return []string{
		"root", "issuing-ca", "meter", "device", "firmware-signing", "rni-command",
		"tls-server", "tls-client", ResponderProfile,
	}
}

// ReferenceSource returns the document of a reference profile, or NotFound.
func ReferenceSource(name string) ([]byte, error) {
	if !slices.Contains(Reference(), name) {
		return nil, pki.Errorf(pki.NotFound, "there is no reference profile %.40q", name)
	}
	return referenceFiles.ReadFile("reference/" + name + ".yaml")
}
