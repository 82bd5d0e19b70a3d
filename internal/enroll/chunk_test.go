package enroll_test

import (
	"cmp"
	"crypto/x509/pkix"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// TestCheckChunk: a dry run says of each row what issuing would refuse, and keeps
// nothing.
func TestCheckChunk(t *testing.T) {
	h := newHouse(t, "meter")
	used, twice := pandotest.Key(t, pki.P256), pandotest.Key(t, pki.P256)
	csr := func(device string) []byte { return pandotest.CSR(t, used, pkix.Name{SerialNumber: device}) }
	h.get(h.request("meter", csr("SM-0")))
	lane, err := h.Enroll.Open(t.Context(), h.grant(access.ManageBatches), "acme.meter", pki.ProtocolBatch)
	if err != nil {
		t.Fatal(err)
	}
	row := func(no int64, csr []byte) enroll.Row { return enroll.Row{No: no, Subject: enroll.Subject{CSR: csr}} }
	broken := meterCSR(t, "SM-5")
	broken[len(broken)-1] ^= 1
	first := enroll.Chunk{Batch: "b", Rows: []enroll.Row{
		row(1, meterCSR(t, "SM-1")),
		{No: 2, Problem: "line 2 is no JSON"},
		row(3, pandotest.CSR(t, twice, pkix.Name{SerialNumber: "SM-3"})),
		row(4, pandotest.CSR(t, twice, pkix.Name{SerialNumber: "SM-4"})),
		row(5, broken),
		row(6, csr("SM-6")),
		row(7, csr("SM-0")),
	}}
	second := enroll.Chunk{Batch: "b", No: 1, Rows: []enroll.Row{row(8, pandotest.CSR(t, twice, pkix.Name{SerialNumber: "SM-3"})), row(9, meterCSR(t, "SM-1")), row(10, meterCSR(t, "SM-6"))}}
	for range 2 { // the same again: nothing was kept
		var got []issuance.Refusal
		var seen enroll.Seen
		for _, chunk := range []enroll.Chunk{first, second} {
			refusals, err := h.Enroll.CheckChunk(t.Context(), lane, chunk, &seen)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, refusals...)
		}
		slices.SortFunc(got, func(a, b issuance.Refusal) int { return cmp.Compare(a.Row, b.Row) })
		want := []issuance.Refusal{
			{Row: 2, Kind: pki.Malformed, Reason: "line 2 is no JSON"},
			{Row: 4, Device: "SM-4", Kind: pki.DuplicateKey, Reason: "row 3 has the same key"},
			{Row: 5, Kind: pki.BadProof},
			{Row: 6, Device: "SM-6", Kind: pki.DuplicateKey, Reason: "the key belongs to another device"},
			{Row: 7, Device: "SM-0", Kind: pki.DuplicateKey},
			{Row: 8, Device: "SM-3", Kind: pki.DuplicateKey, Reason: "row 3 has the same key"},
			{Row: 9, Device: "SM-1", Kind: pki.Conflict, Reason: "row 9 names the same device as row 1: a file gives a device one certificate; another goes into a file of its own"},
		}
		for i := range got {
			if got[i].Reason == "" {
				t.Errorf("row %d is refused without a reason", got[i].Row)
			}
			if i < len(want) && want[i].Reason == "" {
				want[i].Reason = got[i].Reason
			}
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	}
	all, err := h.Registry.Certificates(t.Context(), h.grant(access.ReadCertificates), registry.Query{}, registry.Paging{Limit: 10})
	if err != nil || len(all.Items) != 2 { // the issuing CA's and SM-0's
		t.Errorf("the store has %+v, %v", all, err)
	}
}

// TestOpen: a lane is opened with the permit of who enrols or of who runs batches,
// and of none other.
func TestOpen(t *testing.T) {
	h := newHouse(t, "meter")
	for _, p := range []access.Permission{access.Enroll, access.ManageBatches, access.ReadBatches, access.ManageEndpoints, access.ReadCertificates} {
		lane, err := h.Enroll.Open(t.Context(), h.grant(p), "meter", pki.ProtocolBatch)
		may := p == access.Enroll || p == access.ManageBatches
		switch {
		case may && (err != nil || lane.Endpoint.Label() != "acme.meter" || lane.Authority() == ""):
			t.Errorf("with %s: %v", p, err)
		case !may && pki.KindOf(err) != pki.Forbidden:
			t.Errorf("with %s: %v, want a refusal", p, err)
		}
	}
	_, err := h.Enroll.OpenPinned(t.Context(), h.grant(access.ManageBatches), enroll.Pinned{Endpoint: "meter", Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 9}}, enroll.Pinned{}, "token:1", nil)
	refused(t, err, pki.NotFound)
}

func TestReadCertificates(t *testing.T) {
	h := newHouse(t, "meter")
	h.AddTenant(t, "globex")
	got, _ := h.get(h.request("meter", meterCSR(t, "SM-1")))
	issuer, serial := got.Certificate.Issuer, got.Certificate.Serial
	for _, test := range []struct {
		name  string
		grant access.Permit
		want  pki.Kind
	}{
		{"without a grant", access.Permit{}, pki.Forbidden},
		{"with another grant", h.grant(access.Enroll), pki.Forbidden},
		{"by another tenant", h.Permit(t, "globex", access.ReadCertificates), pki.NotFound},
		{"for some endpoints only", h.grant(access.ReadCertificates, "meter"), pki.Forbidden},
	} {
		_, err := h.Enroll.Certificate(t.Context(), test.grant, issuer, serial)
		refused(t, err, test.want)
	}
}
