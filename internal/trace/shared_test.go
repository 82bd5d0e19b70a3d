package trace_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trace"
)

// shared knows one certificate, which the tenant maker issued and the tenant oem owns.
type shared struct{ trace.Store }

func (shared) Certificates(_ context.Context, _ access.Permit, q registry.Query, _ registry.Paging) (*registry.Certificates, error) {
	out := new(registry.Certificates)
	if q.Serial != "" {
		out.Items = []*registry.Found{{Certificate: &pki.Certificate{Issuer: "issuer", Tenant: "maker", Owner: "oem", Device: "SM-1",
			Placement: pki.Placement{ProductLine: "line", Lot: "lot", Site: "north"}}}}
	}
	return out, nil
}

func (shared) Chain(context.Context, pki.IssuerID) ([][]byte, error) { return nil, nil }

func (shared) Request(context.Context, pki.IssuerID, pki.Serial) ([]byte, string, error) {
	return nil, "token:1 (somebody of oem)", nil
}

func (shared) ChangeOf(context.Context, pki.TenantID, pki.IssuerID, pki.Serial) (pki.ChangeID, error) {
	return "", nil
}

func (shared) Entries(context.Context, pki.TenantID, pki.IssuerID, pki.Serial) ([]trace.Entry, error) {
	return []trace.Entry{{Revocation: pki.Revocation{N: 1}}}, nil
}

func (shared) LogPlace(context.Context, pki.IssuerID, pki.Serial) (trace.LogPlace, error) {
	return trace.LogPlace{Index: 123_456, Signed: 200_000}, nil
}

func (shared) EventsOn(_ context.Context, tenant pki.TenantID, _ []string, _ int) ([]pki.Event, error) {
	return []pki.Event{{Tenant: tenant}}, nil
}

func (shared) Profile(context.Context, pki.ProfileRef) (*pki.ProfileVersion, error) {
	return new(pki.ProfileVersion), nil
}

func (shared) Device(context.Context, pki.TenantID, pki.DeviceID) (*registry.Device, error) {
	return &registry.Device{ID: "SM-1"}, nil
}

func (shared) Lot(context.Context, pki.TenantID, string) (*registry.Lot, error) {
	return &registry.Lot{Name: "lot"}, nil
}

// TestSharedCertificate: of a certificate that one tenant issued and another owns each
// sees its own side, and both what is public.
func TestSharedCertificate(t *testing.T) {
	s := trace.New(trace.Config{Registry: shared{}, Chains: shared{}, Store: shared{}})
	type side struct {
		Actor, Lot string
		Device     bool
		Index      int64
		Entries    int
		Events     pki.TenantID
	}
	for tenant, want := range map[pki.TenantID]side{
		"oem":   {Actor: "token:1 (somebody of oem)", Lot: "lot", Device: true, Index: -1, Entries: 1, Events: "oem"},
		"maker": {Index: 123_456, Entries: 1, Events: "maker"},
	} {
		who := access.Principal{Tenant: tenant, ID: "token:2", Grants: access.Given(access.Auditor)}
		g, err := who.Authorize(access.ReadCertificates, tenant)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Trace(t.Context(), g, "", "01")
		if err != nil {
			t.Fatal(err)
		}
		seen := side{got.Actor, got.Certificate.Lot, got.Device != nil, got.LogPlace.Index, len(got.Entries), got.Events[0].Tenant}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tenant, diff)
		}
	}
}

// ofBatch knows a certificate of a batch that not everybody who may see it may see.
type ofBatch struct{ shared }

func (ofBatch) Certificates(ctx context.Context, g access.Permit, q registry.Query, p registry.Paging) (*registry.Certificates, error) {
	out, err := shared{}.Certificates(ctx, g, q, p)
	for _, c := range out.Items {
		c.Certificate.Batch, c.Owner = "batch", "maker"
	}
	return out, err
}

func (ofBatch) Submitted(context.Context, access.Permit, pki.BatchID, int64) (*batch.Batch, []byte, error) {
	return nil, nil, pki.Errorf(pki.Forbidden, "other product lines are in it")
}

func (ofBatch) Earlier(context.Context, access.Permit, *batch.Batch, int64) ([]batch.Attempt, error) {
	return nil, nil
}

// TestTraceBesideOthers: a certificate is traced by who may see it and not all of its batch.
func TestTraceBesideOthers(t *testing.T) {
	s := trace.New(trace.Config{Registry: ofBatch{}, Chains: shared{}, Store: shared{}, Batches: ofBatch{}})
	g, err := access.Principal{Tenant: "maker", ID: "token:2", Grants: access.Given(access.Auditor)}.Authorize(access.ReadCertificates, "maker")
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Trace(t.Context(), g, "", "01")
	if err != nil {
		t.Fatal(err)
	}
	if got.Batch != nil || got.Certificate.Batch != "batch" || len(got.Entries) != 1 {
		t.Errorf("traced: %+v", got)
	}
}
