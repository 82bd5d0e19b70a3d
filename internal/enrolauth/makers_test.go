package enrolauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// TestMakersOfLines: a maker that is trusted for the devices of a product line names those
// alone, and none that the registry has elsewhere, nowhere or not at all.
func TestMakersOfLines(t *testing.T) {
	h := newHouse(t, "meter")
	g := h.Permit(t, "acme", access.ManageRegistry)
	for _, line := range []string{"home", "pro"} {
		if _, err := h.Registry.CreatePlace(t.Context(), g, registry.ProductLine, line, ""); err != nil {
			t.Fatal(err)
		}
	}
	register := func(device, line string) {
		t.Helper()
		if _, err := h.Registry.ImportDevices(t.Context(), g, registry.NDJSON, pki.Placement{ProductLine: line}, strings.NewReader(`{"device": "`+device+`"}`+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	register("SM-home", "home")
	register("SM-pro", "pro")
	register("SM-nowhere", "")
	makers := make(map[string]maker)
	for _, line := range []string{"home", "pro"} {
		makers[line] = maker{pandotest.NewRoot(t, "Maker of "+line, time.Now().Add(-time.Hour))}
		h.trust(trust.NewAnchor{Name: line, Certificate: makers[line].Certificate.Raw, Role: access.Device, Scopes: []access.Scope{{Endpoint: "meter", ProductLine: line}}})
	}
	for _, device := range []string{"SM-home", "SM-pro", "SM-nowhere", "SM-unknown"} {
		for line, by := range makers {
			_, err := h.ask("meter", enrolauth.Presented{Certificates: by.birth(t, device)}, meterCSR(t, device))
			switch {
			case device == "SM-"+line:
				h.ok(device, err)
			case device == "SM-unknown":
				h.is(device, err, pki.PolicyRefused)
			default:
				h.is(device+" by the maker of "+line, err, pki.Forbidden)
			}
		}
	}
}
