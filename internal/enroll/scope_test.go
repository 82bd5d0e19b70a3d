package enroll_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/trust"
)

// scoped returns the permit of a permission to somebody who has a role on scopes.
func (h *house) scoped(p access.Permission, role access.Role, scopes ...access.Scope) access.Permit {
	h.t.Helper()
	g, err := access.Principal{Tenant: "acme", ID: "token:part", Grants: access.Given(role, scopes...)}.Authorize(p, "acme")
	if err != nil {
		h.t.Fatal(err)
	}
	return g
}

// outside reports an error unless err is the refusal of a permission at a place, which
// says both.
func outside(t *testing.T, what string, err error, permission access.Permission, where access.Scope) {
	t.Helper()
	r, ok := errors.AsType[*access.Refusal](err)
	if !ok || r.Permission != permission || r.Scope != where || pki.KindOf(err) != pki.Forbidden ||
		!strings.Contains(pki.DetailOf(err), fmt.Sprintf("needs %s on %s", permission, where)) {
		t.Errorf("%s: %v, want a refusal of %s on %s", what, err, permission, where)
	}
}

// place returns where something of acme is that its endpoint meter enrols.
func place(line, site string) access.Scope {
	return access.Scope{Authority: "issuing", Endpoint: "meter", ProductLine: line, Site: site}
}

// elsewhere enrols devices of acme's in several places: SM-home, SM-pro, SM-pro-2 and SM-nowhere.
func elsewhere(t *testing.T) *house {
	t.Helper()
	h := newHouse(t, "meter")
	for device, at := range map[string]pki.Placement{
		"SM-home": {ProductLine: "home", Site: "berlin"}, "SM-pro": {ProductLine: "pro", Site: "munich"}, "SM-pro-2": {ProductLine: "pro", Site: "munich"}, "SM-nowhere": {},
	} {
		r := h.request("meter", meterCSR(t, device))
		r.Placement = at
		h.get(r)
	}
	_, err := h.Registry.CreateLot(t.Context(), h.grant(access.ManageRegistry), registry.Lot{Name: "home-7", ProductLine: "home", Site: "berlin"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestScopedEnrol: whoever may enrol in one part of a tenant neither enrols what is
// registered in another nor moves it, whatever they say of where it belongs.
func TestScopedEnrol(t *testing.T) {
	h := elsewhere(t)
	pro, berlin := access.Scope{ProductLine: "pro"}, access.Scope{Site: "berlin"}
	for what, test := range map[string]struct {
		device string
		says   pki.Placement
		within access.Scope
		want   *access.Scope // where it is refused; nil is enrolled
	}{
		"registered elsewhere":           {"SM-home", pki.Placement{}, pro, new(place("home", "berlin"))},
		"moved into the product line":    {"SM-home", pki.Placement{ProductLine: "pro"}, pro, new(place("home", "berlin"))},
		"moved into the site":            {"SM-pro", pki.Placement{ProductLine: "pro", Site: "berlin"}, berlin, new(place("pro", "munich"))},
		"registered nowhere, moved in":   {"SM-nowhere", pki.Placement{ProductLine: "pro"}, pro, new(place("", ""))},
		"moved out":                      {"SM-pro", pki.Placement{ProductLine: "home"}, pro, new(place("home", ""))},
		"new in another product line":    {"SM-new", pki.Placement{ProductLine: "home"}, pro, new(place("home", ""))},
		"new in a lot of another":        {"SM-new", pki.Placement{Lot: "home-7"}, pro, new(place("home", "berlin"))},
		"new in no product line":         {"SM-new", pki.Placement{}, pro, new(place("", ""))},
		"new in another site":            {"SM-new", pki.Placement{Site: "munich"}, berlin, new(place("", "munich"))},
		"new within":                     {"SM-1", pki.Placement{ProductLine: "pro"}, pro, nil},
		"registered within":              {"SM-pro", pki.Placement{}, pro, nil},
		"registered within the site":     {"SM-home", pki.Placement{}, berlin, nil},
		"new in a lot within the site":   {"SM-2", pki.Placement{Lot: "home-7"}, berlin, nil},
		"moved to a site, within a line": {"SM-pro-2", pki.Placement{ProductLine: "pro", Site: "berlin"}, pro, nil},
	} {
		r := h.request("meter", meterCSR(t, test.device))
		r.Grant, r.Placement = h.scoped(access.Enroll, access.RAOperator, test.within), test.says
		was, wasKnown, _ := h.Registry.Where(t.Context(), "acme", pki.DeviceID(test.device))
		_, err := h.Enroll.Enroll(t.Context(), r)
		if test.want == nil {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		outside(t, what, err, access.Enroll, *test.want)
		if is, known, err := h.Registry.Where(t.Context(), "acme", pki.DeviceID(test.device)); err != nil || is != was || known != wasKnown {
			t.Errorf("%s: the device went to %+v, %v", what, is, err)
		}
	}
}

// TestScopedUpload: an upload with one row outside of its submitter's permit is
// refused whole, and the refusal says which row.
func TestScopedUpload(t *testing.T) {
	h := elsewhere(t)
	row := func(device, line string) string {
		return fmt.Sprintf(`{"csr":%q,"product_line":%q}`+"\n", pandotest.PEMRequests(t, device, 1), line)
	}
	submit := func(n batch.Submission, rows ...string) (*batch.Batch, error) {
		n.Endpoint, n.Format = "meter", batch.NDJSON
		return h.Batch.Submit(t.Context(), h.scoped(access.ManageBatches, access.FactoryOperator, access.Scope{ProductLine: "pro"}), n, strings.NewReader(strings.Join(rows, "")))
	}
	for what, test := range map[string]struct {
		rows []string
		want access.Scope
	}{
		"mixed product lines": {[]string{row("SM-a", "pro"), row("SM-b", "home")}, place("home", "")},
		"one says nothing":    {[]string{row("SM-a", "pro"), row("SM-b", "")}, place("", "")},
	} {
		_, err := submit(batch.Submission{}, test.rows...)
		outside(t, what, err, access.ManageBatches, test.want)
		if !strings.Contains(pki.DetailOf(err), "row 2") {
			t.Errorf("%s: the refusal does not say which row: %v", what, err)
		}
	}
	// "SM-home0" is what PEMRequests calls the first device of "SM-home".
	r := h.request("meter", meterCSR(t, "SM-home0"))
	r.Placement.ProductLine = "home"
	h.get(r)
	_, err := submit(batch.Submission{}, row("SM-a", "pro"), row("SM-home", "pro"))
	outside(t, "a device from elsewhere", err, access.ManageBatches, place("home", ""))
	if _, err := submit(batch.Submission{DryRun: true}, row("SM-a", "pro"), row("SM-b", "pro")); err != nil {
		t.Errorf("within: %v", err)
	}
}

// TestScopedBatchWaits: a device that is registered elsewhere while the batch of
// somebody with a part of the tenant waits is not taken and not moved by it, and a dry
// run says so.
func TestScopedBatchWaits(t *testing.T) {
	h := elsewhere(t)
	factory := h.scoped(access.ManageBatches, access.FactoryOperator, access.Scope{ProductLine: "pro"}, access.Scope{Endpoint: "other"})
	wait := func(b *batch.Batch) *batch.Batch {
		t.Helper()
		for seen, err := range h.Batch.Watch(t.Context(), h.grant(access.ReadBatches), b.ID) {
			if b = seen; err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	rows := pandotest.PEMRequests(t, "SM-wait", 3)
	b, err := h.Batch.Submit(t.Context(), factory, batch.Submission{Endpoint: "meter", Format: batch.PEM, Defaults: pki.Placement{ProductLine: "pro"}, DryRun: true}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if b = wait(b); b.State != batch.Checked || b.Refused != 0 {
		t.Fatalf("dry run: %+v", b)
	}
	home := pki.Placement{ProductLine: "home", Site: "berlin"}
	r := h.request("meter", meterCSR(t, "SM-wait1"))
	r.Placement = home
	h.get(r)

	again, err := h.Batch.Submit(t.Context(), h.grant(access.ManageBatches), batch.Submission{Endpoint: "meter", Format: batch.PEM, DryRun: true}, pandotest.PEMRequests(t, "SM-wait", 3))
	if err != nil || wait(again).Refused != 0 {
		t.Errorf("a dry run of whoever may everywhere: %v", err)
	}
	if _, err := h.Batch.Issue(t.Context(), h.grant(access.ManageBatches), b.ID); err != nil {
		t.Fatal(err)
	}
	if b = wait(b); b.State != batch.Done || b.Issued != 2 || b.Refused != 1 {
		t.Fatalf("%+v", b)
	}
	for res, err := range h.Batch.Results(t.Context(), h.grant(access.ReadBatches), b.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if refused := res.Refusal != nil; refused != (res.Row == 2) {
			t.Errorf("row %d: %+v", res.Row, res.Refusal)
		} else if refused && (res.Refusal.Kind != pki.Forbidden || !strings.Contains(res.Refusal.Reason, "needs batches.manage on "+place("home", "berlin").String())) {
			t.Errorf("row %d: %+v", res.Row, res.Refusal)
		}
	}
	lane, err := h.Enroll.OpenPinned(t.Context(), h.grant(access.ManageBatches), enroll.Pinned{Endpoint: "meter", Profile: b.Profile}, enroll.Pinned{}, b.By, b.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	checked, err := h.Enroll.CheckChunk(t.Context(), lane, enroll.Chunk{Rows: []enroll.Row{{No: 1, Subject: enroll.Subject{CSR: meterCSR(t, "SM-wait1")}}}}, new(enroll.Seen))
	if err != nil || len(checked) != 1 || checked[0].Kind != pki.Forbidden {
		t.Errorf("a dry run after the device moved: %+v, %v", checked, err)
	}
	if is, _, err := h.Registry.Where(t.Context(), "acme", "SM-wait1"); err != nil || is != home {
		t.Errorf("the device went to %+v, %v", is, err)
	}
}

// TestScopedTrust: whoever trusts an authority gives those whom it certifies nothing
// that they do not have there themselves.
func TestScopedTrust(t *testing.T) {
	h := elsewhere(t)
	root := pandotest.NewRoot(t, "Pro", time.Now().Add(-time.Hour)).Certificate.Raw
	pro, home := access.Scope{ProductLine: "pro"}, access.Scope{ProductLine: "home"}
	admin := h.scoped(access.ManageTrust, access.TenantAdministrator, pro)
	add := func(g access.Permit, role access.Role, scopes ...access.Scope) error {
		_, err := h.Trust.Add(t.Context(), g, trust.NewAnchor{Name: "pro", Certificate: root, Role: role, Scopes: scopes})
		return err
	}
	outside(t, "another product line", add(admin, access.FactoryOperator, home), access.ManageTrust, home)
	outside(t, "one of two", add(admin, access.FactoryOperator, pro, home), access.ManageTrust, home)
	outside(t, "the whole tenant", add(admin, access.FactoryOperator), access.ManageTrust, access.Scope{})
	outside(t, "devices of an endpoint", add(admin, access.Device, access.Scope{Endpoint: "meter"}), access.ManageTrust, access.Scope{Endpoint: "meter"})
	outside(t, "what they cannot do", add(h.scoped(access.ManageTrust, access.PKIAdministrator, pro), access.FactoryOperator, pro), access.Enroll, pro)
	if err := add(admin, access.FactoryOperator, access.Scope{ProductLine: "pro", Site: "berlin"}); err != nil {
		t.Errorf("within: %v", err)
	}
}

// TestScopedRetry: a row is retried within the permit of whoever retries it, also where
// its submitter might have enrolled it.
func TestScopedRetry(t *testing.T) {
	h := elsewhere(t)
	state := func(act registry.Act) {
		if _, err := h.Registry.ChangeDevice(t.Context(), h.grant(access.ManageDevices), "SM-home0", act, ""); err != nil {
			t.Fatal(err)
		}
	}
	r := h.request("meter", meterCSR(t, "SM-home0"))
	r.Placement.ProductLine = "home"
	h.get(r)
	state(registry.Suspend) // so that its row is refused
	b, err := h.Batch.Submit(t.Context(), h.grant(access.ManageBatches), batch.Submission{Endpoint: "meter", Format: batch.PEM, Defaults: pki.Placement{ProductLine: "pro"}}, pandotest.PEMRequests(t, "SM-home", 1))
	if err != nil {
		t.Fatal(err)
	}
	for seen, err := range h.Batch.Watch(t.Context(), h.grant(access.ReadBatches), b.ID) {
		if b = seen; err != nil {
			t.Fatal(err)
		}
	}
	if b.State != batch.Done || b.Refused != 1 {
		t.Fatalf("%+v", b)
	}
	state(registry.Resume)
	_, err = h.Batch.Retry(t.Context(), h.scoped(access.ManageBatches, access.FactoryOperator, access.Scope{ProductLine: "pro"}), b.ID, nil, "")
	outside(t, "a device from elsewhere", err, access.ManageBatches, place("home", ""))
	if _, err := h.Batch.Retry(t.Context(), h.grant(access.ManageBatches), b.ID, nil, ""); err != nil {
		t.Errorf("who may everywhere: %v", err)
	}
}
