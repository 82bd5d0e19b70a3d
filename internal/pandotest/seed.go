package pandotest

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// SeedVariable sets the seed of tests that have chance in them.
const SeedVariable = "PANDO_TEST_SEED"

// Seeded returns the source of a test's chance, from SeedVariable where that is set, and
// prints its seed. It is for one goroutine.
func Seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
		}
	}
	t.Logf("%s=%d", SeedVariable, seed)
	return rand.New(rand.NewPCG(seed, 0))
}
