import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.Security;
import java.security.spec.PKCS8EncodedKeySpec;

import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/**
 * What Bouncy Castle does with the file in, for or by the owner of cert.der and key.der in
 * the working directory: verify and sign with Ed25519, open and seal with AES-GCM to an RSA
 * key, content that is not id-data. The result goes to standard output.
 */
class Peer {
    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        byte[] in = Files.readAllBytes(Path.of("in"));
        X509CertificateHolder cert = new X509CertificateHolder(Files.readAllBytes(Path.of("cert.der")));
        byte[] out = switch (args[0]) {
            case "verify" -> verify(in, cert);
            case "sign" -> sign(in, cert);
            case "open" -> open(in);
            case "seal" -> seal(in, cert);
            default -> throw new IllegalArgumentException(args[0]);
        };
        System.out.write(out);
        System.out.flush();
    }

    static PrivateKey key(String algorithm) throws Exception {
        byte[] key = Files.readAllBytes(Path.of("key.der"));
        return KeyFactory.getInstance(algorithm, "BC").generatePrivate(new PKCS8EncodedKeySpec(key));
    }

    static byte[] verify(byte[] in, X509CertificateHolder cert) throws Exception {
        CMSSignedData data = new CMSSignedData(in);
        for (SignerInformation s : data.getSignerInfos().getSigners()) {
            if (!s.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(cert))) {
                throw new Exception("the signature does not verify");
            }
        }
        return (byte[]) data.getSignedContent().getContent();
    }

    static byte[] sign(byte[] in, X509CertificateHolder cert) throws Exception {
        CMSSignedDataGenerator g = new CMSSignedDataGenerator();
        g.addSignerInfoGenerator(new JcaSignerInfoGeneratorBuilder(
            new JcaDigestCalculatorProviderBuilder().setProvider("BC").build())
            .build(new JcaContentSignerBuilder("Ed25519").setProvider("BC").build(key("Ed25519")), cert));
        g.addCertificate(cert);
        return g.generate(new CMSProcessableByteArray(in), true).getEncoded();
    }

    static byte[] open(byte[] in) throws Exception {
        return new CMSAuthEnvelopedData(in).getRecipientInfos().getRecipients().iterator().next()
            .getContent(new JceKeyTransAuthEnvelopedRecipient(key("RSA")).setProvider("BC"));
    }

    static byte[] seal(byte[] in, X509CertificateHolder cert) throws Exception {
        ASN1EncodableVector attributes = new ASN1EncodableVector();
        attributes.add(new Attribute(CMSAttributes.contentType, new DERSet(CMSObjectIdentifiers.signedData)));
        CMSAuthEnvelopedDataGenerator g = new CMSAuthEnvelopedDataGenerator();
        g.setAuthenticatedAttributeGenerator(new SimpleAttributeTableGenerator(new AttributeTable(attributes)));
        g.addRecipientInfoGenerator(new JceKeyTransRecipientInfoGenerator(
            new JcaX509CertificateConverter().setProvider("BC").getCertificate(cert)).setProvider("BC"));
        return g.generate(new CMSProcessableByteArray(CMSObjectIdentifiers.signedData, in),
            (OutputAEADEncryptor) new JceCMSContentEncryptorBuilder(CMSAlgorithm.AES256_GCM).setProvider("BC").build()).getEncoded();
    }
}
