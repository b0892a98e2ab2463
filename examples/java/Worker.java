import java.io.*;
import java.nio.charset.StandardCharsets;
import java.util.regex.*;

/** A worker behind the pipe: glassq work pipe -- java Worker.java. A line is a lease, the answer is a result.
 * A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds. */
public class Worker {
    static final Pattern SLEEP = Pattern.compile("\"body\":\\{\"sleep\":([^,}]*)");

    static String work(String lease) throws InterruptedException {
        Matcher m = SLEEP.matcher(lease);
        if (m.find()) {
            try {
                Thread.sleep((long) (1000 * Double.parseDouble(m.group(1))));
            } catch (NumberFormatException e) {
                return "{\"o\":{\"ok\":0,\"err\":\"bad_task\"}}";
            }
        }
        return lease.contains("\"body\":{\"fail\":true") ? "{\"o\":{\"ok\":0}}" : "{\"o\":{\"ok\":1}}";
    }

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String lease; (lease = in.readLine()) != null; ) {
            System.out.println(work(lease));
        }
    }
}
