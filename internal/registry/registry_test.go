package registry_test

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// A house is a stack with grants to its tenant acme.
type house struct {
	*stack.Stack
	t *testing.T
}

func newHouse(t *testing.T) *house {
	h := &house{stack.New(t, stack.Config{}), t}
	h.AddTenant(t, "acme", "meter")
	return h
}

func (h *house) grant(p access.Permission) access.Permit { return h.Permit(h.t, "acme", p) }

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) is(kind pki.Kind, err error) {
	h.t.Helper()
	if err == nil || pki.KindOf(err) != kind {
		h.t.Errorf("got error %v, want one of kind %s", err, kind)
	}
}

func (h *house) enrol(device string, p pki.Placement) (*pki.Certificate, error) {
	got, err := h.Enroll.Enroll(h.t.Context(), enroll.Request{Grant: h.grant(access.Enroll), Endpoint: "meter", Protocol: pki.ProtocolREST,
		Subject: enroll.Subject{CSR: pandotest.CSR(h.t, pandotest.Key(h.t, pki.P256), pkix.Name{SerialNumber: device}), Placement: p}})
	if err != nil {
		return nil, err
	}
	return got.Certificate, nil
}

// TestGrants calls each method with a permit of another permission.
func TestGrants(t *testing.T) {
	h := newHouse(t)
	s, g, ctx := h.Registry, h.grant(access.Enroll), t.Context()
	for name, call := range map[string]func() error{
		"CreatePlace":   func() error { _, err := s.CreatePlace(ctx, g, registry.Site, "x", ""); return err },
		"DescribePlace": func() error { _, err := s.DescribePlace(ctx, g, registry.Site, "x", ""); return err },
		"Place":         func() error { _, err := s.Place(ctx, g, registry.Site, "x"); return err },
		"Places":        func() error { _, err := s.Places(ctx, g, registry.Site, registry.Paging{Limit: 1}); return err },
		"CreateLot":     func() error { _, err := s.CreateLot(ctx, g, registry.Lot{Name: "x"}); return err },
		"ChangeLot":     func() error { _, err := s.ChangeLot(ctx, g, "x", registry.LotChange{}); return err },
		"Lot":           func() error { _, err := s.Lot(ctx, g, "x"); return err },
		"Lots":          func() error { _, err := s.Lots(ctx, g, registry.LotFilter{}, registry.Paging{Limit: 1}); return err },
		"Device":        func() error { _, err := s.Device(ctx, g, "x"); return err },
		"Devices": func() error {
			_, err := s.Devices(ctx, g, registry.DeviceFilter{}, registry.Paging{Limit: 1})
			return err
		},
		"ChangeDevice": func() error { _, err := s.ChangeDevice(ctx, g, "x", registry.Suspend, ""); return err },
		"ImportDevices": func() error {
			_, err := s.ImportDevices(ctx, g, registry.NDJSON, pki.Placement{}, strings.NewReader(""))
			return err
		},
		"Certificates": func() error {
			_, err := s.Certificates(ctx, g, registry.Query{}, registry.Paging{Limit: 1})
			return err
		},
		"Strict":    func() error { _, err := s.Strict(ctx, g); return err },
		"SetStrict": func() error { return s.SetStrict(ctx, g, true) },
	} {
		if err := call(); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("%s: %v, want forbidden", name, err)
		}
	}
}

func TestComplete(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	_, err := h.Registry.CreateLot(ctx, h.grant(access.ManageRegistry), registry.Lot{Name: "lot-1", ProductLine: "meters", Site: "north", Ordered: 5})
	h.ok(err)
	for _, test := range []struct {
		say, want pki.Placement
		refused   bool
	}{
		{pki.Placement{}, pki.Placement{}, false},
		{pki.Placement{Lot: "lot-1"}, pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}, false},
		{pki.Placement{Lot: "lot-1", Site: "south"}, pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "south"}, false},
		{pki.Placement{Lot: "lot-1", ProductLine: "gateways"}, pki.Placement{}, true},
		{pki.Placement{Lot: "new"}, pki.Placement{Lot: "new"}, false},
	} {
		got, err := h.Registry.Complete(ctx, "acme", test.say)
		if test.refused {
			h.is(pki.PolicyRefused, err)
			continue
		}
		h.ok(err)
		if got != test.want {
			t.Errorf("%v: %v, want %v", test.say, got, test.want)
		}
	}
	h.ok(h.Registry.SetStrict(ctx, h.grant(access.ManageRegistry), true))
	for _, p := range []pki.Placement{{Lot: "new"}, {ProductLine: "new"}, {Site: "new"}} {
		_, err := h.Registry.Complete(ctx, "acme", p)
		h.is(pki.PolicyRefused, err)
		_, err = h.enrol("meter-1", p)
		h.is(pki.PolicyRefused, err)
	}
	c, err := h.enrol("meter-1", pki.Placement{Lot: "lot-1"})
	h.ok(err)
	c, err = h.Store.Certificate(ctx, "acme", c.Issuer, c.Serial)
	h.ok(err)
	if c.ProductLine != "meters" || c.Site != "north" {
		t.Errorf("the certificate is of %+v", c.Placement)
	}
}

func TestAdmission(t *testing.T) {
	h := newHouse(t)
	ctx, g := t.Context(), h.grant(access.ManageDevices)
	_, err := h.enrol("meter-1", pki.Placement{})
	h.ok(err)
	_, err = h.Registry.ChangeDevice(ctx, g, "meter-1", registry.Suspend, "")
	h.ok(err)
	_, err = h.enrol("meter-1", pki.Placement{})
	h.is(pki.PolicyRefused, err)
	_, err = h.Registry.ChangeDevice(ctx, g, "meter-1", registry.Resume, "")
	h.ok(err)
	_, err = h.enrol("meter-1", pki.Placement{})
	h.ok(err)
	_, err = h.Registry.ChangeDevice(ctx, g, "meter-1", registry.Decommission, "")
	h.ok(err)
	_, err = h.enrol("meter-1", pki.Placement{})
	h.is(pki.PolicyRefused, err)
	_, err = h.Registry.ChangeDevice(ctx, g, "meter-1", registry.Decommission, "two\nlines")
	h.is(pki.Malformed, err)
}

func TestImport(t *testing.T) {
	h := newHouse(t)
	ctx, g := t.Context(), h.grant(access.ManageRegistry)
	long := strings.Repeat("x", 5000)
	for _, test := range []struct {
		name   string
		format registry.ImportFormat
		text   string
		want   registry.Import
	}{
		{"empty", registry.NDJSON, "", registry.Import{}},
		{"NDJSON", registry.NDJSON, "{\"device\":\"a\"}\r\n\n{\"device\":\"b\",\"lot\":\"lot-2\"}", registry.Import{Planned: 2}},
		{"again", registry.CSV, "device,lot\na,lot-1\nb,lot-1\nc,\n", registry.Import{Planned: 1, Moved: 1, Unchanged: 1}},
		{"ragged, twice, long", registry.CSV, "\ufefflot,device\nlot-1\nlot-1,d,e\n" + long + ",f\nlot-1,\"g\nlot-1,h\n", registry.Import{Planned: 1, Refused: 4,
			Problems: []registry.ImportProblem{{1, "it has 1 fields and the header 2"}, {2, "it has 3 fields and the header 2"},
				{3, "a line of more than 4096 bytes"}, {4, "it is not a line of CSV (RFC 4180), with commas"}}}},
		{"no ids", registry.NDJSON, "{}\n{\"device\":7}\n{\"device\":\"x\",\"colour\":\"grey\"}\n{\"device\":\"\u00e9\"}\n", registry.Import{Refused: 4,
			Problems: []registry.ImportProblem{
				{1, "device id \"\": it has 1 to 128 printable ASCII characters and no space at either end"},
				{2, "it is not a JSON object with device and, where wanted, product_line, lot and site, and nothing else"},
				{3, "it is not a JSON object with device and, where wanted, product_line, lot and site, and nothing else"},
				{4, "device id \"\u00e9\": it has 1 to 128 printable ASCII characters and no space at either end"}}}},
	} {
		got, err := h.Registry.ImportDevices(ctx, g, test.format, pki.Placement{Lot: "lot-1"}, strings.NewReader(test.text))
		h.ok(err)
		if diff := cmp.Diff(&test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
	for _, text := range []string{"", "lot\nx\n", "device,device\n", "device;lot\nx\n", long + "\n"} {
		_, err := h.Registry.ImportDevices(ctx, g, registry.CSV, pki.Placement{}, strings.NewReader(text))
		h.is(pki.Malformed, err)
	}
	_, err := h.Registry.ImportDevices(ctx, g, "xml", pki.Placement{}, strings.NewReader(""))
	h.is(pki.Malformed, err)
	_, err = h.Store.CloseLot(ctx, "acme", "lot-2", nil, 0, h.Now(), pki.Event{Tenant: "acme", At: h.Now(), Actor: "test", Action: "lot.close", Target: "lot-2"})
	h.ok(err)
	h.Registry.Forget()
	closed, err := h.Registry.ImportDevices(ctx, g, registry.CSV, pki.Placement{}, strings.NewReader("device,lot\ne1,lot-2\ne2,lot-3\ne3,lot-2\ne4,\n"))
	h.ok(err)
	if closed.Planned != 2 || closed.Refused != 2 || closed.Problems[1].Row != 3 || !strings.Contains(closed.Problems[1].Reason, `the lot "lot-2" is closed since`) {
		t.Errorf("rows of a closed lot: %+v", closed)
	}
	// More than one transaction.
	var list strings.Builder
	for n := range 2500 {
		list.WriteString(`{"device":"many-` + strings.Repeat("i", n%7) + "-" + string(rune('a'+n%26)) + strings.Repeat("z", n/26) + "\"}\n")
	}
	got, err := h.Registry.ImportDevices(ctx, g, registry.NDJSON, pki.Placement{}, strings.NewReader(list.String()))
	h.ok(err)
	if got.Planned+got.Unchanged+got.Refused != 2500 || got.Planned < 2000 {
		t.Errorf("%+v", got)
	}
}

// TestImportKeeps: a device with certificates stays where it is, and whose row says
// something else is told so, in the order of the rows.
func TestImportKeeps(t *testing.T) {
	h := newHouse(t)
	ctx, g := t.Context(), h.grant(access.ManageRegistry)
	_, err := h.enrol("a", pki.Placement{Lot: "lot-1", ProductLine: "meters"})
	h.ok(err)
	list := "device,lot,site\na,lot-1,\na,,\na,lot-2,\nb,lot-1,\n,,\na,lot-1,north\na,lot-2,north\n"
	for _, defaults := range []pki.Placement{{}, {ProductLine: "meters"}} {
		got, err := h.Registry.ImportDevices(ctx, g, registry.CSV, defaults, strings.NewReader(list))
		h.ok(err)
		want := &registry.Import{Planned: 1, Unchanged: 2, Refused: 4, Problems: []registry.ImportProblem{
			{3, `the device "a" is issued, in lot "lot-1": only planned devices move`},
			{5, "device id \"\": it has 1 to 128 printable ASCII characters and no space at either end"},
			{6, `the device "a" is issued, in no site: only planned devices move`},
			{7, `the device "a" is issued, in lot "lot-1", no site: only planned devices move`},
		}}
		if defaults != (pki.Placement{}) {
			want.Planned, want.Unchanged = 0, 3
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: %s", defaults, diff)
		}
	}
	is, err := h.Registry.Device(ctx, h.grant(access.ReadRegistry), "a")
	h.ok(err)
	if is.Lot != "lot-1" || is.Site != "" {
		t.Errorf("%+v", is)
	}
}

func TestCursor(t *testing.T) {
	h := newHouse(t)
	ctx, g := t.Context(), h.grant(access.ReadRegistry)
	for _, name := range []string{"a", "b", "c"} {
		_, err := h.Registry.CreateLot(ctx, h.grant(access.ManageRegistry), registry.Lot{Name: name, ProductLine: "meters"})
		h.ok(err)
	}
	page, err := h.Registry.Lots(ctx, g, registry.LotFilter{}, registry.Paging{Limit: 2})
	h.ok(err)
	if len(page.Items) != 2 || page.Next == "" {
		t.Fatalf("%+v", page)
	}
	rest, err := h.Registry.Lots(ctx, g, registry.LotFilter{}, registry.Paging{Limit: 2, Cursor: page.Next})
	h.ok(err)
	if len(rest.Items) != 1 || rest.Items[0].Name != "c" || rest.Next != "" {
		t.Errorf("%+v", rest)
	}
	for _, cursor := range []string{page.Next, "!", "AAAA", strings.Repeat("A", 2000), page.Next + "="} {
		_, err = h.Registry.Lots(ctx, g, registry.LotFilter{ProductLine: "meters"}, registry.Paging{Limit: 2, Cursor: cursor})
		h.is(pki.Malformed, err)
	}
	for _, limit := range []int{0, -1, registry.MaxPage + 1} {
		_, err = h.Registry.Lots(ctx, g, registry.LotFilter{}, registry.Paging{Limit: limit})
		h.is(pki.Malformed, err)
	}
}

// TestSearchBySubject searches an authority that keeps the index, and one that
// does not.
func TestSearchBySubject(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	find := func(q registry.Query) ([]string, *registry.Certificates, error) {
		got, err := h.Registry.Certificates(ctx, h.grant(access.ReadCertificates), q, registry.Paging{Limit: 100})
		if err != nil {
			return nil, nil, err
		}
		var ids []string
		for _, f := range got.Items {
			ids = append(ids, string(f.Device))
		}
		return ids, got, nil
	}
	_, err := h.enrol("SM-000001", pki.Placement{Lot: "lot-1"})
	h.ok(err)
	_, _, err = find(registry.Query{Subject: "sm-"})
	h.is(pki.NotReady, err)
	ids, _, err := find(registry.Query{Subject: "sm-0000", Lot: "lot-1"}) // led by the lot
	h.ok(err)
	if diff := cmp.Diff([]string{"SM-000001"}, ids); diff != "" {
		t.Error(diff)
	}

	g := h.grant(access.ManageAuthorities)
	_, err = h.Hierarchy.CreateAuthority(ctx, g, hierarchy.NewAuthority{Name: "indexed", CommonName: "Indexed", Kind: pki.Issuing, Parent: "root",
		StatusURL: stack.StatusURL, Indexes: []pki.SearchIndex{pki.IndexSubject, pki.IndexFingerprint, pki.IndexSubject}})
	h.ok(err)
	request, err := h.Hierarchy.Request(ctx, g, "indexed")
	h.ok(err)
	h.Sign(t, "acme", request)
	_, err = h.Enroll.CreateEndpoint(ctx, h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: "indexed", Authority: "indexed", Profile: "meter"})
	h.ok(err)
	var certs []*pki.Certificate
	for _, device := range []string{"SM-000011", "sm-000012", "GW SM-000013 SM-000014"} {
		got, err := h.Enroll.Enroll(ctx, enroll.Request{Grant: h.grant(access.Enroll), Endpoint: "indexed", Protocol: pki.ProtocolREST,
			Subject: enroll.Subject{CSR: pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{SerialNumber: device})}})
		h.ok(err)
		certs = append(certs, got.Certificate)
	}
	for _, test := range []struct {
		subject string
		want    []string
	}{
		{"SM-00001", []string{"SM-000011", "sm-000012", "GW SM-000013 SM-000014"}}, // the last one once
		{"sm-000012", []string{"sm-000012"}},
		{"gw  sm-", []string{"GW SM-000013 SM-000014"}},
		{"gw sm-9", nil},
		{"000012", nil},
	} {
		ids, got, err := find(registry.Query{Subject: test.subject})
		h.ok(err)
		if diff := cmp.Diff(test.want, ids); diff != "" {
			t.Errorf("%q: %s", test.subject, diff)
		}
		if diff := cmp.Diff([]string{"issuing", "root"}, got.NotSearched); diff != "" {
			t.Error(diff)
		}
	}
	sum := sha256.Sum256(certs[1].DER)
	_, _, err = find(registry.Query{Fingerprint: fmt.Sprintf("% X", sum)})
	h.is(pki.Malformed, err)
	ids, _, err = find(registry.Query{Fingerprint: strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")})
	h.ok(err)
	if diff := cmp.Diff([]string{"sm-000012"}, ids); diff != "" {
		t.Error(diff)
	}
	for _, q := range []registry.Query{{Serial: "x"}, {Fingerprint: "00"}, {Status: "lost"}, {Subject: " "}, {Subject: "a b c d e f g h i"},
		{ExpiresFrom: h.Now(), ExpiresTo: h.Now().Add(-time.Hour)}} {
		_, _, err := find(q)
		h.is(pki.Malformed, err)
	}
	scoped, err := access.Principal{Tenant: "acme", ID: "token:1", Grants: access.Given(access.Auditor, access.Scope{Endpoint: "meter"})}.Authorize(access.ReadCertificates, "acme")
	h.ok(err)
	_, err = h.Registry.Certificates(ctx, scoped, registry.Query{}, registry.Paging{Limit: 1})
	h.is(pki.Forbidden, err)
	for _, q := range []registry.Query{{Issuer: "nobody"}, {Issuer: "nobody", Device: "sm-000012"}} {
		for _, g := range []access.Permit{scoped, h.grant(access.ReadCertificates)} {
			_, err = h.Registry.Certificates(ctx, g, q, registry.Paging{Limit: 1})
			h.is(pki.NotFound, err)
			if !strings.HasPrefix(pki.DetailOf(err), `no issuer "nobody"`) {
				t.Error(err)
			}
		}
	}
}
