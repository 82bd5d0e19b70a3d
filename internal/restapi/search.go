package restapi

import (
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// defaultPage is how many items a page has where nothing is said.
const defaultPage = 100

// pageParameters are those of every search.
func pageParameters() []*huma.Param {
	return params(
		parameter("cursor", "string", "Go on after what the cursor came with: next of the page before, or cursor of a row of an export."),
		parameter("limit", "integer", "How many at most; default 100, at most 1000. A page of a search that few rows fit may have fewer, or none, and a next. Of an export: all, unless it is said."),
		parameter("format", "string", "ndjson and csv are exports: all that is found, as a stream. Default: what Accept says, else json.", "json", "ndjson", "csv"),
	)
}

// listCertificates serves GET /certificates: a page in JSON, or all of a search
// as a stream.
func (s *server) listCertificates(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "serial", "fingerprint", "device", "lot", "product_line", "batch", "subject", "status", "issuer", "profile", "owner",
		"expires_from", "expires_to", "cursor", "limit", "format")
	if err != nil {
		return err
	}
	query, err := readCertificateQuery(q)
	if err != nil {
		return err
	}
	format, paging, err := readPaging(r, q)
	if err != nil {
		return err
	}
	find := func(p registry.Paging) ([]client.Certificate, string, error) {
		page, err := s.cfg.Registry.Certificates(r.Context(), g, query, p)
		if err != nil {
			return nil, "", err
		}
		if len(page.NotSearched) > 0 {
			w.Header()[notSearchedHeader] = page.NotSearched
		}
		return each(page.Items, page.Next, func(f *registry.Found) client.Certificate { return s.wireFound(r.Context(), g, f) }).Body.Items, page.Next, nil
	}
	if format == "" {
		items, next, err := find(paging)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, client.List[client.Certificate]{Items: items, Next: next, NotSearched: w.Header()[notSearchedHeader]})
	}
	return export(s, w, r, format, paging, certificateColumns(), find)
}

// notSearchedHeader names the authorities whose certificates were left out, in
// exports too.
const notSearchedHeader = "Not-Searched"

func readCertificateQuery(q url.Values) (registry.Query, error) {
	out := registry.Query{
		Serial: q.Get("serial"), Fingerprint: q.Get("fingerprint"), Device: pki.DeviceID(q.Get("device")), Lot: q.Get("lot"),
		ProductLine: q.Get("product_line"), Batch: pki.BatchID(q.Get("batch")), Subject: q.Get("subject"), Status: registry.Status(q.Get("status")),
		Issuer: pki.IssuerID(q.Get("issuer")), Profile: q.Get("profile"), Owner: pki.TenantID(q.Get("owner")),
	}
	for name, t := range map[string]*time.Time{"expires_from": &out.ExpiresFrom, "expires_to": &out.ExpiresTo} {
		if text := q.Get(name); text != "" {
			var err error
			if *t, err = time.Parse(time.RFC3339, text); err != nil {
				return out, pki.Errorf(pki.Malformed, "%s %.40q: write a time as 2026-12-31T00:00:00Z (RFC 3339)", name, text)
			}
			*t = t.UTC()
		}
	}
	for name, values := range q {
		if len(values[0]) > 512 {
			return out, pki.Errorf(pki.Malformed, "%s: it has more than 512 bytes", name)
		}
	}
	return out, nil
}

func listCertificatesDoc() document {
	return document{
		id: "list-certificates", summary: "Find certificates",
		description: "All criteria must hold. One leads the search by its index: serial, batch, device, fingerprint, lot, subject, product_line, an owner that is a child, expiry, or status revoked or held; the others are looked at certificate by certificate. " +
			"Fingerprint, subject and expiry lead only among authorities that have the index; not_searched and the header Not-Searched name those that have not, or not yet.",
		query: append(params(
			parameter("serial", "string", "In hexadecimal."),
			parameter("fingerprint", "string", "SHA-256 of the certificate in hexadecimal, with or without colons."),
			parameter("device", "string", "Its device."),
			parameter("lot", "string", "Of the device when it was issued; likewise product_line."),
			parameter("product_line", "string", "Of the device when it was issued."),
			parameter("batch", "string", "The batch that it came from; in order of rows."),
			parameter("subject", "string", "Words with which words of the subject's values begin, without regard to case."),
			parameter("status", "string", "Of now; a released hold is good.", "good", "held", "revoked", "expired"),
			parameter("issuer", "string", "Id of the issuer."),
			parameter("profile", "string", "Name of the profile."),
			parameter("owner", "string", "The tenant whose it is: the one that asks, or a child that it issued for; of any other nothing is found."),
			parameter("expires_from", "string", "Its last moment is at this time or later (RFC 3339)."),
			parameter("expires_to", "string", "Its last moment is at this time or earlier (RFC 3339)."),
		), pageParameters()...),
		status: http.StatusOK,
		response: []media{{mediaJSON, reflect.TypeFor[client.List[client.Certificate]]()},
			{mediaNDJSON, reflect.TypeFor[client.Certificate]()}, {mediaCSV, nil}},
	}
}

// listDevices serves GET /devices, as listCertificates does.
func (s *server) listDevices(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "prefix", "state", "product_line", "lot", "site", "cursor", "limit", "format")
	if err != nil {
		return err
	}
	format, paging, err := readPaging(r, q)
	if err != nil {
		return err
	}
	f := registry.DeviceFilter{Prefix: q.Get("prefix"), State: registry.State(q.Get("state")),
		Placement: pki.Placement{ProductLine: q.Get("product_line"), Lot: q.Get("lot"), Site: q.Get("site")}}
	find := func(p registry.Paging) ([]client.Device, string, error) {
		page, err := s.cfg.Registry.Devices(r.Context(), g, f, p)
		if err != nil {
			return nil, "", err
		}
		return each(page.Items, page.Next, wireFoundDevice).Body.Items, page.Next, nil
	}
	if format == "" {
		items, next, err := find(paging)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, client.List[client.Device]{Items: items, Next: next})
	}
	return export(s, w, r, format, paging, deviceColumns(), find)
}

func listDevicesDoc() document {
	return document{
		id: "list-devices", summary: "Find devices",
		query: append(params(
			parameter("prefix", "string", "Of the id."),
			parameter("state", "string", "Its state.", "planned", "issued", "active", "suspended", "returned", "decommissioned"),
			parameter("product_line", "string", "Its product line."),
			parameter("lot", "string", "Its lot."),
			parameter("site", "string", "Its site."),
		), pageParameters()...),
		status: http.StatusOK,
		response: []media{{mediaJSON, reflect.TypeFor[client.List[client.Device]]()},
			{mediaNDJSON, reflect.TypeFor[client.Device]()}, {mediaCSV, nil}},
	}
}

// readPaging returns the format of an export, "" for a page in JSON, and which
// part is wanted. An export's limit is 0 where all is.
func readPaging(r *http.Request, q url.Values) (format string, p registry.Paging, err error) {
	p.Cursor = q.Get("cursor")
	switch format = q.Get("format"); format {
	case "":
		format = accepted(r)
	case "json":
		format = ""
	case "ndjson", "csv":
	default:
		return "", p, pki.Errorf(pki.Malformed, "format %.20q: it is json, ndjson or csv", format)
	}
	if format == "" {
		p.Limit = defaultPage
	}
	if text := q.Get("limit"); text != "" {
		if p.Limit, err = strconv.Atoi(text); err != nil || p.Limit < 1 || format == "" && p.Limit > registry.MaxPage {
			return "", p, pki.Errorf(pki.Malformed, "limit %.20q: from 1 to %d, of an export any number", text, registry.MaxPage)
		}
	}
	return format, p, nil
}
