import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;

import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.SecretKey;
import javax.crypto.spec.IvParameterSpec;

import org.bouncycastle.asn1.ASN1Encoding;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.BEROctetString;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.EncryptedContentInfo;
import org.bouncycastle.asn1.cms.EnvelopedData;
import org.bouncycastle.asn1.cms.IssuerAndSerialNumber;
import org.bouncycastle.asn1.cms.KeyAgreeRecipientIdentifier;
import org.bouncycastle.asn1.cms.KeyAgreeRecipientInfo;
import org.bouncycastle.asn1.cms.OriginatorIdentifierOrKey;
import org.bouncycastle.asn1.cms.OriginatorPublicKey;
import org.bouncycastle.asn1.cms.RecipientEncryptedKey;
import org.bouncycastle.asn1.cms.RecipientInfo;
import org.bouncycastle.asn1.cms.ecc.ECCCMSSharedInfo;
import org.bouncycastle.asn1.edec.EdECObjectIdentifiers;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.sec.SECObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.jcajce.spec.UserKeyingMaterialSpec;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * X25519 in EnvelopedData (RFC 8418), which Bouncy Castle 1.72 has no recipient for, put
 * together of its parts: the structures, X25519 with X9.63's KDF, the shared info, key wrap.
 * It opens or seals the file in, for cert.der with key.der, with AES-128 or AES-256 in CBC.
 */
class Agree {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        byte[] in = Files.readAllBytes(Path.of("in"));
        byte[] out = args[0].equals("open") ? open(in) : seal(in);
        System.out.write(out);
        System.out.flush();
    }

    static SecretKey agree(PrivateKey own, PublicKey other, AlgorithmIdentifier wrap, ASN1OctetString ukm) throws Exception {
        int bits = wrap.getAlgorithm().equals(NISTObjectIdentifiers.id_aes256_wrap) ? 256 : 128;
        byte[] size = {0, 0, (byte) (bits >> 8), (byte) bits};
        byte[] shared = new ECCCMSSharedInfo(wrap, ukm == null ? null : ukm.getOctets(), size).getEncoded(ASN1Encoding.DER);
        KeyAgreement agreement = KeyAgreement.getInstance("X25519withSHA256KDF", "BC");
        agreement.init(own, new UserKeyingMaterialSpec(shared));
        agreement.doPhase(other, true);
        return agreement.generateSecret(wrap.getAlgorithm().getId());
    }

    static PublicKey x25519(SubjectPublicKeyInfo info) throws Exception {
        return KeyFactory.getInstance("X25519", "BC").generatePublic(new X509EncodedKeySpec(info.getEncoded()));
    }

    static byte[] open(byte[] in) throws Exception {
        EnvelopedData data = EnvelopedData.getInstance(ContentInfo.getInstance(in).getContent());
        KeyAgreeRecipientInfo info = KeyAgreeRecipientInfo.getInstance(RecipientInfo.getInstance(data.getRecipientInfos().getObjectAt(0)).getInfo());
        if (!info.getKeyEncryptionAlgorithm().getAlgorithm().equals(SECObjectIdentifiers.dhSinglePass_stdDH_sha256kdf_scheme)) {
            throw new Exception("another scheme");
        }
        OriginatorPublicKey originator = info.getOriginator().getOriginatorKey();
        if (!originator.getAlgorithm().equals(new AlgorithmIdentifier(EdECObjectIdentifiers.id_X25519))) {
            throw new Exception("another algorithm than id-X25519 without parameters");
        }
        PrivateKey key = KeyFactory.getInstance("X25519", "BC").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of("key.der"))));
        SubjectPublicKeyInfo ephemeral = new SubjectPublicKeyInfo(originator.getAlgorithm(), originator.getPublicKey().getBytes());
        AlgorithmIdentifier wrap = AlgorithmIdentifier.getInstance(info.getKeyEncryptionAlgorithm().getParameters());
        Cipher unwrap = Cipher.getInstance("AESWrap", "BC");
        unwrap.init(Cipher.UNWRAP_MODE, agree(key, x25519(ephemeral), wrap, info.getUserKeyingMaterial()));
        RecipientEncryptedKey encrypted = RecipientEncryptedKey.getInstance(info.getRecipientEncryptedKeys().getObjectAt(0));
        SecretKey cek = (SecretKey) unwrap.unwrap(encrypted.getEncryptedKey().getOctets(), "AES", Cipher.SECRET_KEY);
        EncryptedContentInfo content = data.getEncryptedContentInfo();
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS7Padding", "BC");
        byte[] iv = ASN1OctetString.getInstance(content.getContentEncryptionAlgorithm().getParameters()).getOctets();
        cipher.init(Cipher.DECRYPT_MODE, cek, new IvParameterSpec(iv));
        return cipher.doFinal(content.getEncryptedContent().getOctets());
    }

    static byte[] seal(byte[] in) throws Exception {
        X509CertificateHolder cert = new X509CertificateHolder(Files.readAllBytes(Path.of("cert.der")));
        KeyPair ephemeral = KeyPairGenerator.getInstance("X25519", "BC").generateKeyPair();
        AlgorithmIdentifier wrap = new AlgorithmIdentifier(NISTObjectIdentifiers.id_aes256_wrap);
        ASN1OctetString ukm = new DEROctetString(new byte[] {1, 2, 3});
        KeyGenerator keys = KeyGenerator.getInstance("AES", "BC");
        keys.init(256);
        SecretKey cek = keys.generateKey();
        Cipher wrapping = Cipher.getInstance("AESWrap", "BC");
        wrapping.init(Cipher.WRAP_MODE, agree(ephemeral.getPrivate(), x25519(cert.getSubjectPublicKeyInfo()), wrap, ukm));
        KeyAgreeRecipientIdentifier recipient = new KeyAgreeRecipientIdentifier(new IssuerAndSerialNumber(cert.toASN1Structure()));
        byte[] point = SubjectPublicKeyInfo.getInstance(ephemeral.getPublic().getEncoded()).getPublicKeyData().getBytes();
        KeyAgreeRecipientInfo info = new KeyAgreeRecipientInfo(
            new OriginatorIdentifierOrKey(new OriginatorPublicKey(new AlgorithmIdentifier(EdECObjectIdentifiers.id_X25519), point)), ukm,
            new AlgorithmIdentifier(SECObjectIdentifiers.dhSinglePass_stdDH_sha256kdf_scheme, wrap),
            new DERSequence(new RecipientEncryptedKey(recipient, new DEROctetString(wrapping.wrap(cek)))));
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS7Padding", "BC");
        cipher.init(Cipher.ENCRYPT_MODE, cek);
        EncryptedContentInfo content = new EncryptedContentInfo(CMSObjectIdentifiers.data,
            new AlgorithmIdentifier(new ASN1ObjectIdentifier(NISTObjectIdentifiers.id_aes256_CBC.getId()), new DEROctetString(cipher.getIV())),
            new BEROctetString(cipher.doFinal(in)));
        EnvelopedData data = new EnvelopedData(null, new DERSet(new RecipientInfo(info)), content, new DERSet());
        return new ContentInfo(CMSObjectIdentifiers.envelopedData, data).getEncoded();
    }
}
