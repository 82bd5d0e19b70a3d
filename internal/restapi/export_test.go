package restapi

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
)

// manyFound serves a search that finds total certificates, whose cursors are
// their numbers, and fails after failAt of them where it is not 0.
func manyFound(s *served, total, failAt int) {
	s.search = func(_ registry.Query, p registry.Paging) (*registry.Certificates, error) {
		after := 0
		fmt.Sscan(p.Cursor, &after)
		out := new(registry.Certificates)
		out.NotSearched = []string{"manufacturing"}
		for n := after + 1; n <= min(after+p.Limit, total); n++ {
			if failAt > 0 && n > failAt {
				return nil, pki.Errorf(pki.Unavailable, "the store is gone")
			}
			out.Items = append(out.Items, &registry.Found{Status: registry.Good, Cursor: fmt.Sprint(n), Certificate: &pki.Certificate{Owner: "demo",
				Issuer: "iss", Serial: pki.Serial{19: 7}, Device: "=HYPERLINK(\"x\")", DER: []byte{0x30, 0},
				Placement: pki.Placement{ProductLine: "-1", Lot: "@lot", Site: "+site"},
				Profile:   pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 3}, NotBefore: day, NotAfter: day, Issued: day}})
			out.Next = fmt.Sprint(n)
		}
		if after+p.Limit >= total {
			out.Next = ""
		}
		return out, nil
	}
}

func TestExport(t *testing.T) {
	s := serve(t)
	manyFound(s, 1234, 0)
	for _, test := range []struct {
		query, accept, media string
		rows                 int
	}{
		{"?format=ndjson", "", mediaNDJSON, 1234},
		{"", mediaNDJSON, mediaNDJSON, 1234},
		{"?limit=700", mediaNDJSON, mediaNDJSON, 700},
		{"?limit=500", mediaNDJSON, mediaNDJSON, 500},
		{"?cursor=1200", mediaNDJSON, mediaNDJSON, 34},
		{"", mediaCSV, mediaCSV, 1235},
		{"?format=csv&limit=3", mediaNDJSON, mediaCSV, 4},
		{"?format=csv&cursor=1234", "", mediaCSV, 1},
		{"?format=json", mediaCSV, mediaJSON, 1},
	} {
		resp, text := s.ask(t, "auditor", "GET", "/api/v1/certificates"+test.query, "", "Accept", test.accept)
		if rows := len(strings.Split(strings.TrimSuffix(text, "\n"), "\n")); resp.StatusCode != http.StatusOK || rows != test.rows {
			t.Errorf("%s, %s: %d with %d rows, want %d", test.query, test.accept, resp.StatusCode, rows, test.rows)
		}
		if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, test.media) {
			t.Errorf("%s, %s: %s, want %s", test.query, test.accept, got, test.media)
		}
		if got := resp.Header.Get("Not-Searched"); got != "manufacturing" {
			t.Errorf("%s: not searched %q", test.query, got)
		}
	}
	_, text := s.ask(t, "auditor", "GET", "/api/v1/certificates?format=csv&limit=1", "")
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"iss", "07", "'=HYPERLINK(\"x\")", "'-1", "'@lot", "'+site", "meter", "3", "", "", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z",
		"2026-03-01T12:00:00Z", fingerprint([]byte{0x30, 0}), "good", "", "", "1", "demo"}
	if diff := cmp.Diff(want, records[1]); diff != "" {
		t.Error(diff)
	}
	list, err := s.client(t, "auditor").Certificates(t.Context(), client.CertificateQuery{Lot: "@lot"}, "", 2)
	if err != nil || len(list.Items) != 2 || list.Next != "2" || list.Items[1].Cursor != "2" || len(list.NotSearched) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	for _, query := range []string{"?limit=0", "?limit=x", "?format=xml", "?colour=grey", "?expires_to=tomorrow", "?lot=a&lot=b", "?subject=" + strings.Repeat("x", 600)} {
		s.refused(t, http.StatusBadRequest, pki.Malformed, "auditor", "GET", "/api/v1/certificates"+query, "")
	}
}

// TestOwner: whose a certificate is stands in a page and in both exports, without what is
// its owner's alone, and can be asked for.
func TestOwner(t *testing.T) {
	s := serve(t)
	s.search = func(q registry.Query, _ registry.Paging) (*registry.Certificates, error) {
		out := new(registry.Certificates)
		if q.Owner == "demo-oem" {
			out.Items = append(out.Items, &registry.Found{Status: registry.Good, Cursor: "1", Certificate: &pki.Certificate{Tenant: "demo", Owner: q.Owner,
				Issuer: "iss", Serial: pki.Serial{19: 7}, Placement: pki.Placement{Lot: "lot-7"}, Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 3}}})
		}
		return out, nil
	}
	list, err := s.client(t, "auditor").Certificates(t.Context(), client.CertificateQuery{Owner: "demo-oem"}, "", 2)
	if err != nil || len(list.Items) != 1 || list.Items[0].Owner != "demo-oem" || list.Items[0].Lot != "" {
		t.Errorf("%+v, %v", list, err)
	}
	for format, want := range map[string]string{"ndjson": `"owner":"demo-oem"`, "csv": ",1,demo-oem\n"} {
		if _, text := s.ask(t, "auditor", "GET", "/api/v1/certificates?owner=demo-oem&format="+format, ""); !strings.Contains(text, want) || strings.Contains(text, "lot-7") {
			t.Errorf("%s: %s", format, text)
		}
	}
	for column, names := range map[string][]string{"certificates": head(certificateColumns()), "devices": head(deviceColumns())} {
		if names[len(names)-1] != "owner" {
			t.Errorf("%s: the last column is not the owner: %v", column, names)
		}
	}
}

func head[T any](columns []column[T]) (names []string) {
	for _, c := range columns {
		names = append(names, c.name)
	}
	return names
}

// TestExportCut: what cannot be finished does not look complete, and its last row
// says where to go on.
func TestExportCut(t *testing.T) {
	s := serve(t)
	manyFound(s, 1234, 500)
	req, err := http.NewRequest("GET", s.URL+"/api/v1/certificates?format=ndjson", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer auditor")
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	buf := make([]byte, 4096)
	for err == nil {
		var n int
		n, err = resp.Body.Read(buf)
		text.Write(buf[:n])
	}
	lines := strings.Split(text.String(), "\n")
	if err.Error() != "unexpected EOF" || len(lines) < 2 || !strings.HasSuffix(lines[len(lines)-2], fmt.Sprintf(`"cursor":"%d"}`, len(lines)-1)) {
		t.Errorf("%v after %d lines", err, len(lines))
	}
	s.search = func(registry.Query, registry.Paging) (*registry.Certificates, error) {
		return nil, pki.Errorf(pki.NotReady, "no index")
	}
	s.refused(t, http.StatusConflict, pki.NotReady, "auditor", "GET", "/api/v1/certificates?format=csv", "")
}
