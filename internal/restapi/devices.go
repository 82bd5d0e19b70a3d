package restapi

import (
	"context"
	"mime"
	"net/http"
	"reflect"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

type deviceInput struct {
	Caller
	Device string `path:"device"`
}

type deviceChangeInput struct {
	Caller
	Device string `path:"device"`
	Body   client.DeviceChange
}

func (s *server) getDevice(ctx context.Context, g access.Permit, in *deviceInput) (*answer[client.Device], error) {
	return deviceAnswer(s.cfg.Registry.Device(ctx, g, pki.DeviceID(in.Device)))
}

func (s *server) changeDevice(act registry.Act) func(context.Context, access.Permit, *deviceChangeInput) (*answer[client.Device], error) {
	return func(ctx context.Context, g access.Permit, in *deviceChangeInput) (*answer[client.Device], error) {
		return deviceAnswer(s.cfg.Registry.ChangeDevice(ctx, g, pki.DeviceID(in.Device), act, in.Body.Note))
	}
}

func deviceAnswer(d *registry.Device, err error) (*answer[client.Device], error) {
	if err != nil {
		return nil, err
	}
	return &answer[client.Device]{wireDevice(d)}, nil
}

func wireDevice(d *registry.Device) client.Device {
	return client.Device{Device: string(d.ID), Owner: string(d.Owner), State: string(d.State), ProductLine: d.ProductLine, Lot: d.Lot, Site: d.Site,
		Created: d.Created, Updated: d.Updated}
}

func wireFoundDevice(f *registry.FoundDevice) client.Device {
	d := wireDevice(f.Device)
	d.Cursor = f.Cursor
	return d
}

// importDevices serves POST /devices: a list of planned devices, streamed.
func (s *server) importDevices(w http.ResponseWriter, r *http.Request, g access.Permit) error {
	q, err := readQuery(r, "product_line", "lot", "site")
	if err != nil {
		return err
	}
	var format registry.ImportFormat
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media {
	case mediaNDJSON:
		format = registry.NDJSON
	case mediaCSV:
		format = registry.CSV
	default:
		return pki.Errorf(pki.Malformed, "content type %.60q: devices are %s or %s", media, mediaNDJSON, mediaCSV)
	}
	defaults := pki.Placement{ProductLine: q.Get("product_line"), Lot: q.Get("lot"), Site: q.Get("site")}
	got, err := s.cfg.Registry.ImportDevices(r.Context(), g, format, defaults, slowly(w, r.Body))
	if err != nil {
		return err
	}
	out := client.DeviceImport{Planned: got.Planned, Moved: got.Moved, Unchanged: got.Unchanged, Refused: got.Refused}
	for _, p := range got.Problems {
		out.Problems = append(out.Problems, client.DeviceProblem{Row: p.Row, Reason: p.Reason})
	}
	return writeJSON(w, http.StatusOK, out)
}

func importDevicesDoc() document {
	return document{
		id: "import-devices", summary: "Make devices known before they enrol",
		description: "One JSON object a line with device and, where wanted, product_line, lot and site; or CSV under a header with these names. " +
			"The list is stored as it comes, a thousand rows at a time: sent again after a failure it changes nothing more. Rows that are wrong are refused by themselves, and the first hundred are told.",
		query: params(
			parameter("product_line", "string", "Of rows that say nothing."),
			parameter("lot", "string", "Of rows that say nothing."),
			parameter("site", "string", "Of rows that say nothing."),
		),
		request:  []media{{mediaNDJSON, nil}, {mediaCSV, nil}},
		status:   http.StatusOK,
		response: []media{{mediaJSON, reflect.TypeFor[client.DeviceImport]()}},
	}
}
