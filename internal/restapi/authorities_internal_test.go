package restapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// TestIndexingTellsNoNumbers: how many certificates all tenants have is nobody's to
// know, and an index is made by going through all of them.
func TestIndexingTellsNoNumbers(t *testing.T) {
	for _, test := range []struct {
		of   pki.Indexing
		want string
	}{
		{pki.Indexing{}, `"percent":0`},
		{pki.Indexing{Done: 12_345_678, Total: 98_765_432}, `"percent":12}`},
		{pki.Indexing{Done: 98_765_432, Total: 98_765_432}, `"percent":100}`},
	} {
		got, err := json.Marshal(wireAuthority(&hierarchy.View{Authority: pki.Authority{Indexing: &test.of}}))
		if err != nil {
			t.Fatal(err)
		}
		if text := string(got); !strings.Contains(text, test.want) || strings.Contains(text, "123456") || strings.Contains(text, "987654") {
			t.Errorf("%+v is shown as %s", test.of, text)
		}
	}
}
