package trace_test

import (
	"bytes"
	"crypto/x509/pkix"
	"slices"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// TestTrace follows a meter from its batch to its end.
func TestTrace(t *testing.T) {
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme", "meter")
	s.AddTenant(t, "globex")
	ctx := t.Context()
	grant := func(p access.Permission) access.Permit { return s.Permit(t, "acme", p) }
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rows := pandotest.PEMRequests(t, "SM-", 3)
	b, err := s.Batch.Submit(ctx, grant(access.ManageBatches), batch.Submission{Endpoint: "meter", Format: batch.PEM,
		Defaults: pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}}, rows)
	ok(err)
	for _, err := range s.Batch.Watch(ctx, grant(access.ReadBatches), b.ID) {
		ok(err)
	}
	found, err := s.Registry.Certificates(ctx, grant(access.ReadCertificates), registry.Query{Batch: b.ID}, registry.Paging{Limit: 10})
	ok(err)
	second := found.Items[1]
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: string(second.Device)})
	renewed, err := s.Enroll.Enroll(ctx, enroll.Request{Grant: grant(access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr}})
	ok(err)
	_, err = s.Revocation.Revoke(ctx, grant(access.Revoke), second.Issuer, second.Serial, pki.Superseded)
	ok(err)
	_, err = s.Registry.ChangeDevice(ctx, grant(access.ManageDevices), second.Device, registry.Suspend, "stolen")
	ok(err)

	got, err := s.Trace.Trace(ctx, grant(access.ReadCertificates), "", second.Serial.String())
	ok(err)
	if got.Batch == nil || got.Batch.ID != b.ID || got.Row != 2 || got.Actor != b.By || len(got.Request) == 0 {
		t.Errorf("batch %+v, row %d, by %q, a request of %d bytes", got.Batch, got.Row, got.Actor, len(got.Request))
	}
	if got.Status != registry.Revoked || len(got.Entries) != 1 || got.Device.State != registry.Suspended || got.Lot.Name != "lot-1" {
		t.Errorf("%s, %+v, %+v, %+v", got.Status, got.Entries, got.Device, got.Lot)
	}
	if len(got.Chain) != 2 || got.Version.Name != "meter" || got.Version.Hash == [32]byte{} || len(got.Others) != 1 || got.Others[0].Serial != renewed.Certificate.Serial {
		t.Errorf("a chain of %d, %+v, others %+v", len(got.Chain), got.Version.ProfileRef, got.Others)
	}
	for _, action := range []string{"certificate.revoke", "device.suspend", "batch.submit"} {
		if !slices.ContainsFunc(got.Events, func(e pki.Event) bool { return e.Action == action }) {
			t.Errorf("no event %s among %+v", action, got.Events)
		}
	}

	got, err = s.Trace.Trace(ctx, grant(access.ReadCertificates), renewed.Certificate.Issuer, renewed.Certificate.Serial.String())
	ok(err)
	if !bytes.Equal(got.Request, csr) || got.Actor != "token:test (test)" || got.Batch != nil || got.Status != registry.Held {
		t.Errorf("%x by %q, %+v, %s", got.Request, got.Actor, got.Batch, got.Status)
	}

	// Who may not read events gets none, and a stranger nothing.
	factory, err := access.Principal{Tenant: "acme", ID: "token:1", Grants: access.Given(access.FactoryOperator)}.Authorize(access.ReadCertificates, "acme")
	ok(err)
	got, err = s.Trace.Trace(ctx, factory, "", second.Serial.String())
	ok(err)
	if got.Events != nil {
		t.Errorf("%+v", got.Events)
	}
	for kind, err := range map[pki.Kind]error{
		pki.NotFound:  second2(s.Trace.Trace(ctx, s.Permit(t, "globex", access.ReadCertificates), "", second.Serial.String())),
		pki.Forbidden: second2(s.Trace.Trace(ctx, grant(access.Enroll), "", second.Serial.String())),
		pki.Malformed: second2(s.Trace.Trace(ctx, grant(access.ReadCertificates), "", "no serial")),
	} {
		if pki.KindOf(err) != kind {
			t.Errorf("%v, want %s", err, kind)
		}
	}
}

func second2[T any](_ T, err error) error { return err }
