package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"testing"
)

// TestKeyWrap has the examples of RFC 3394, 4.
func TestKeyWrap(t *testing.T) {
	const kek, data = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F"
	for _, c := range []struct {
		section  string
		kek, key int
		wrapped  string
	}{
		{"4.1", 16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
		{"4.2", 24, 16, "96778B25AE6CA435F92B5B97C050AED2468AB8A17AD84E5D"},
		{"4.3", 32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
		{"4.4", 24, 24, "031D33264E15D33268F24EC260743EDCE1C6C7DDEE725A936BA814915C6762D2"},
		{"4.5", 32, 24, "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
		{"4.6", 32, 32, "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
	} {
		kek, key := secret(unhex(kek)[:c.kek]), secret(unhex(data)[:c.key])
		wrapped, err := wrapKey(kek, key)
		if err != nil || !bytes.Equal(wrapped, unhex(c.wrapped)) {
			t.Errorf("%s: %x, %v", c.section, wrapped, err)
		}
		if got := unwrapKey(kek, wrapped, c.key); !bytes.Equal(got, key) {
			t.Errorf("%s: unwrapped %x", c.section, []byte(got))
		}
		for i := range wrapped {
			wrapped[i] ^= 1
			if unwrapKey(kek, wrapped, c.key) != nil {
				t.Errorf("%s: octet %d does not count", c.section, i)
			}
			wrapped[i] ^= 1
		}
		if unwrapKey(kek, wrapped, c.key-8) != nil || unwrapKey(kek[1:], wrapped, c.key) != nil || unwrapKey(kek, nil, c.key) != nil {
			t.Errorf("%s: another size is unwrapped", c.section)
		}
	}
}

// TestPasswordWrap has the examples of RFC 3211, 3, which are of DES and 3DES, and wraps
// keys of each size.
func TestPasswordWrap(t *testing.T) {
	salt := unhex("1234567878563412")
	one, err := des.NewCipher(derive(t, "password", salt, 5, 8))
	if err != nil {
		t.Fatal(err)
	}
	three, err := des.NewTripleDESCipher(derive(t, "All n-entities must communicate with other n-entities via n-1 entiteeheehees", salt, 500, 24))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		block            cipher.Block
		iv, key, wrapped string
	}{
		{one, "EFE598EF21B33D6D", "8C627C897323A2F8", "B81B2565EE373CA6DEDCA26A178B0C10"},
		{three, "BAF1CA7931213C4E", "8C637D887223A2F965B566EB014B0FA5D52300A3F7EA40FFFC577203C71BAF3B", "C03C514ABDB9E2C5AAC038572B5E24553876B377AAFB82ECA5A9D73F8AB143D9EC74E6CAD7DB260C"},
	} {
		key := unhex(c.key)
		if got := unwrapPassword(c.block, unhex(c.iv), unhex(c.wrapped), len(key)); !bytes.Equal(got, key) {
			t.Errorf("%x, want %x", []byte(got), key)
		}
	}
	block, err := aes.NewCipher(newSecret(32))
	if err != nil {
		t.Fatal(err)
	}
	iv := newSecret(16)
	for _, size := range []int{16, 24, 32} {
		key := newSecret(size)
		wrapped := wrapPassword(block, iv, key)
		if got := unwrapPassword(block, iv, wrapped, size); !bytes.Equal(got, key) || len(wrapped)%16 != 0 || len(wrapped) < 32 {
			t.Errorf("%d: %x in %d octets", size, []byte(got), len(wrapped))
		}
		for _, n := range []int{0, 16, len(wrapped) - 1, len(wrapped) - 16} {
			if unwrapPassword(block, iv, wrapped[:n], size) != nil {
				t.Errorf("%d: %d octets are unwrapped", size, n)
			}
		}
	}
}

func derive(t *testing.T, password string, salt []byte, iterations, size int) []byte {
	t.Helper()
	key, err := pbkdf2.Key(sha1.New, password, salt, iterations, size)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
