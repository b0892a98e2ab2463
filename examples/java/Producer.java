import java.net.URI;
import java.net.http.*;

/** Puts N tasks (10 if not said) in one batch: the ids make it safe to run again. */
public class Producer {
    public static void main(String[] args) throws Exception {
        String server = System.getenv().getOrDefault("GLASSQ_SERVER", "http://127.0.0.1:5080");
        var lines = new StringBuilder();
        for (int i = 1; i <= (args.length > 0 ? Integer.parseInt(args[0]) : 10); i++) {
            lines.append("{\"id\":\"java-" + i + "\",\"body\":\"http://localhost:8888/?q=" + i + "\"}\n");
        }
        var request = HttpRequest.newBuilder(URI.create(server + "/v1/queues/tasks/tasks?answer=count"))
            .header("Content-Type", "application/x-ndjson")
            .POST(HttpRequest.BodyPublishers.ofString(lines.toString())).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.print(answer.body());
        System.exit(answer.statusCode() == 200 ? 0 : 1);
    }
}
