//go:build !race

package policy

import "testing"

// TestLintBudget holds what the lint of a shape that zlint has seen allocates: what
// the structural one does, and nothing for the shape.
func TestLintBudget(t *testing.T) {
	const budget = 2
	for _, profile := range []string{"meter", "tls-server"} {
		b, c, der := encoded(t, profile)
		got := testing.AllocsPerRun(100, func() {
			if err := b.Lint(der, c); err != nil {
				t.Fatal(err)
			}
		})
		if got > budget {
			t.Errorf("%s: %.0f allocations, budget %d", profile, got, budget)
		}
	}
}
