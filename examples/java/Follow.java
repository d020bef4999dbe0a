import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import procman.v1.Procman.Job;
import procman.v1.Procman.StartRequest;
import procman.v1.Procman.WatchRequest;
import procman.v1.Procman.WatchResponse;
import procman.v1.ProcmanServiceGrpc;

/** Starts a command and follows it, with its progress; exits as the command did. */
public class Follow {
  public static void main(String[] command) throws Exception {
    String address = System.getenv().getOrDefault("PROCMAN_ADDRESS", "127.0.0.1:7420");
    Path tokenFile = Path.of(System.getenv("HOME"), ".cache/procman/token");
    Metadata metadata = new Metadata();
    metadata.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + Files.readString(tokenFile).strip());

    ManagedChannel channel = NettyChannelBuilder.forTarget(address).usePlaintext().build();
    var procman =
        ProcmanServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    List<String> args = Arrays.asList(command).subList(1, command.length);
    var start = StartRequest.newBuilder().setCommand(command[0]).addAllArgs(args).build();
    Job job = procman.start(start).getJob();

    var events = procman.watch(WatchRequest.newBuilder().setId(job.getId()).build());
    while (events.hasNext()) {
      WatchResponse event = events.next();
      if (event.hasLine()) {
        var line = event.getLine();
        System.out.printf("%3.0f%% | %s%n", line.getProgress().getPercent(), line.getText());
      } else if (event.hasEnded()) {
        job = event.getEnded().getJob();
      }
    }
    channel.shutdownNow();
    System.out.println(job.getStatus() + " with exit code " + job.getExitCode());
    System.exit(job.getExitCode());
  }
}
