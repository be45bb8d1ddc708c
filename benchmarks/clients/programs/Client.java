import java.io.FileInputStream;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.zip.GZIPInputStream;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * Talks to an endpoint through Weir with java.net.http, and prints a line for each case: ok NAME, or FAIL NAME and why.
 *
 * <p>Client BASE http1|http2 CA RUN
 */
public class Client {
    static String base, run;
    static HttpClient client;
    static HttpClient.Version want;

    interface Case {
        void run() throws Exception;
    }

    static void hold(Object got, Object want) {
        if (!got.equals(want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    static HttpRequest.Builder request(String path) {
        return HttpRequest.newBuilder(URI.create(base + path)).timeout(Duration.ofSeconds(20));
    }

    static <T> HttpResponse<T> answered(HttpRequest r, int status, HttpResponse.BodyHandler<T> how) throws Exception {
        HttpResponse<T> s = client.send(r, how);
        hold(s.statusCode(), status);
        hold(s.version(), want);
        return s;
    }

    static HttpResponse<String> get(String path, int status) throws Exception {
        return answered(request(path).build(), status, BodyHandlers.ofString());
    }

    static String sha256(byte[] data, int times) throws Exception {
        MessageDigest d = MessageDigest.getInstance("SHA-256");
        for (int i = 0; i < times; i++) {
            d.update(data);
        }
        return HexFormat.of().formatHex(d.digest());
    }

    static void check(String name, Case c) {
        try {
            c.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            System.out.println("FAIL " + name + " " + e.toString().replace('\n', ' '));
        }
    }

    public static void main(String[] args) throws Exception {
        base = args[0];
        run = args[3];
        boolean secure = base.startsWith("https");
        // Without TLS, this client asks for HTTP/2 by Upgrade: h2c, which is ignored (RFC 9113, section 3.1).
        HttpClient.Version version = args[1].equals("http2") ? HttpClient.Version.HTTP_2 : HttpClient.Version.HTTP_1_1;
        want = secure ? version : HttpClient.Version.HTTP_1_1;

        KeyStore keys = KeyStore.getInstance(KeyStore.getDefaultType());
        keys.load(null, null);
        try (InputStream in = new FileInputStream(args[2])) {
            keys.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(keys);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        HttpClient.Builder clients = HttpClient.newBuilder().sslContext(tls).version(version);
        client = clients.build();

        byte[] data = new byte[102400];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) i;
        }
        check("get", () -> hold(get("/hello", 200).body(), "hello\n"));
        check("post", () -> {
            HttpRequest r = request("/echo").POST(BodyPublishers.ofByteArray(data)).build();
            hold(answered(r, 200, BodyHandlers.ofString()).body(), data.length + " false " + sha256(data, 1));
        });
        check("chunked", () -> {
            List<InputStream> parts = new ArrayList<>();
            for (int i = 0; i < 10; i++) {
                parts.add(new java.io.ByteArrayInputStream(data));
            }
            InputStream all = new SequenceInputStream(Collections.enumeration(parts));
            HttpRequest r = request("/echo").POST(BodyPublishers.ofInputStream(() -> all)).build();
            hold(answered(r, 200, BodyHandlers.ofString()).body(), data.length * 10 + " true " + sha256(data, 10));
        });
        check("large", () -> {
            HttpResponse<InputStream> r = answered(request("/large?n=16777216").build(), 200, BodyHandlers.ofInputStream());
            MessageDigest d = MessageDigest.getInstance("SHA-256");
            byte[] block = new byte[65536];
            for (int n; (n = r.body().read(block)) >= 0;) {
                d.update(block, 0, n);
            }
            hold(HexFormat.of().formatHex(d.digest()), r.headers().firstValue("digest-hex").get());
        });
        check("head", () -> {
            HttpRequest r = request("/hello").method("HEAD", BodyPublishers.noBody()).build();
            HttpResponse<String> s = answered(r, 200, BodyHandlers.ofString());
            hold(s.headers().firstValue("content-length").get() + s.body(), "6");
        });
        check("missing", () -> get("/missing", 404));
        check("gzip", () -> {
            HttpRequest r = request("/gzip").header("Accept-Encoding", "gzip").build();
            InputStream in = new GZIPInputStream(answered(r, 200, BodyHandlers.ofInputStream()).body());
            hold(new String(in.readAllBytes()), "A weir makes a river's flow even. ".repeat(1000));
        });
        check("reuse", () -> {
            client = clients.build(); // without connections of the cases before, which may come back late
            Set<String> ports = new HashSet<>();
            for (int i = 0; i < 5; i++) {
                ports.add(get("/port", 200).body());
            }
            hold(ports.size(), 1);
        });
        check("events", () -> {
            List<String> got = new ArrayList<>();
            for (String line : (Iterable<String>) answered(request("/events?run=" + run).build(), 200, BodyHandlers.ofLines()).body()::iterator) {
                if (line.startsWith("data: ")) {
                    get("/seen?run=" + run + "&n=" + got.size(), 204);
                    got.add(line.substring(6));
                }
            }
            hold(got, List.of("0", "1", "2", "3", "4"));
        });
        check("websocket", Client::chat);
        System.exit(0);
    }

    static void chat() throws Exception {
        List<String> sent = List.of("a", "\u00e9".repeat(300), "x".repeat(70000)), got = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<Integer> closed = new CompletableFuture<>();
        WebSocket ws = client.newWebSocketBuilder().buildAsync(URI.create(base.replaceFirst("http", "ws") + "/chat"), new WebSocket.Listener() {
            final StringBuilder text = new StringBuilder();

            @Override
            public CompletionStage<?> onText(WebSocket ws, CharSequence part, boolean last) {
                text.append(part);
                if (last) {
                    got.add(text.toString());
                    text.setLength(0);
                }
                if (got.size() == 3) {
                    ws.sendPing(ByteBuffer.wrap(new byte[] {1}));
                }
                ws.request(1);
                return null;
            }

            @Override
            public CompletionStage<?> onPong(WebSocket ws, ByteBuffer message) {
                ws.sendClose(1000, "done");
                ws.request(1);
                return null;
            }

            @Override
            public CompletionStage<?> onClose(WebSocket ws, int status, String reason) {
                closed.complete(status);
                return null;
            }

            @Override
            public void onError(WebSocket ws, Throwable e) {
                closed.completeExceptionally(e);
            }
        }).get(20, TimeUnit.SECONDS);
        for (String s : sent) {
            ws.sendText(s, true).get(20, TimeUnit.SECONDS);
        }
        hold(closed.get(20, TimeUnit.SECONDS), 1000);
        hold(got, sent);
    }
}
