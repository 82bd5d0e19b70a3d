package access_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
)

// TestDocumentedRoles holds the table of the documentation to the code.
func TestDocumentedRoles(t *testing.T) {
	var table strings.Builder
	table.WriteString("| permission | built-in roles that include it |\n| --- | --- |\n")
	for _, p := range constants[access.Permission](t, "Permission") {
		var roles []string
		for _, r := range append(access.Roles(), access.Device) {
			if slices.Contains(access.PermissionsOf(r), p) {
				roles = append(roles, string(r))
			}
		}
		fmt.Fprintf(&table, "| `%s` | %s |\n", p, strings.Join(roles, ", "))
	}
	page, err := os.ReadFile("../../docs/operator/access.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table.String()) {
		t.Errorf("docs/operator/access.md has another table of permissions; it is:\n%s", table.String())
	}
}
