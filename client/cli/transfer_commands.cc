#include <algorithm>
#include <chrono>
#include <cstring>

#include "client/cli/command.h"
#include "client/cli/image_file.h"
#include "client/cli/open_volume.h"
#include "client/cli/progress.h"
#include "client/cli/transfer.h"
#include "runtime/sizes.h"

namespace sluice::cli {
namespace {

using client::BlockClient;

constexpr std::size_t kPieceBytes = 1U << 20U;
constexpr std::uint64_t kDefaultDepth = 8;
constexpr std::uint64_t kMaxDepth = 128;
/// Zeroes carry no data: long stretches of them are one request.
constexpr std::uint64_t kMaxZeroBytes = 256U << 20U;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// One volume's transfer with one image, in either direction.
class ImageTransfer {
 public:
  ImageTransfer(BlockClient& volume, const ImageFile& file, std::uint64_t bytes)
      : volume_(volume), file_(file), bytes_(bytes) {}

  /// `is_new`: the volume reads as zeroes.
  Status import_into(RegisteredBuffers& buffers, bool is_new) {
    Progress progress("import");
    std::uint64_t done = 0;
    std::uint64_t position = 0;
    const auto count = [&](const Piece& piece) -> Status {
      done += piece.length;
      progress.update(ByteCount(done), ByteCount(bytes_));
      return {};
    };
    const auto next = [&](Piece& piece) -> Result<bool> {
      while (position < bytes_) {
        if (Status filled = fill(piece, position); !filled) return tl::unexpected(filled.error());
        position += piece.length;
        if (!is_new || piece.kind != Piece::Kind::zeroes) return true;
        done += piece.length;
      }
      return false;
    };
    if (Status moved = Transfer(volume_, buffers).run(next, count); !moved) return moved;
    return volume_.flush();
  }

  Status verify(RegisteredBuffers& buffers) {
    std::vector<std::byte> expected(kPieceBytes);
    return read_all(buffers, "verify", [&](const Piece& piece) -> Status {
      const std::span<std::byte> wanted = std::span(expected).first(piece.length);
      if (Status read = file_.read(piece.offset, wanted); !read) return read;
      if (std::memcmp(wanted.data(), piece.buffer.data(), piece.length) == 0) return {};
      return fail(StatusCode::io_error, "the volume differs from the file in the " +
                                            std::to_string(piece.length) + " bytes at " +
                                            std::to_string(piece.offset));
    });
  }

  Status export_from(RegisteredBuffers& buffers) {
    Status read = read_all(buffers, "export", [this](const Piece& piece) {
      return file_.write(piece.offset, piece.buffer.first(piece.length));
    });
    return read ? file_.sync() : read;
  }

 private:
  Status read_all(RegisteredBuffers& buffers, const std::string& label, const Transfer::Done& take) {
    Progress progress(label);
    std::uint64_t done = 0;
    std::uint64_t position = 0;
    const auto next = [&](Piece& piece) -> Result<bool> {
      if (position >= bytes_) return false;
      piece.offset = position;
      piece.length = std::min<std::uint64_t>(kPieceBytes, bytes_ - position);
      position += piece.length;
      return true;
    };
    return Transfer(volume_, buffers).run(next, [&](const Piece& piece) -> Status {
      done += piece.length;
      progress.update(ByteCount(done), ByteCount(bytes_));
      return take(piece);
    });
  }

  /// What the volume is to have from `position` on.
  Status fill(Piece& piece, std::uint64_t position) {
    const std::uint64_t block = volume_.info().block_size;
    const ImageFile::Stretch stretch = file_.stretch_at(position);
    piece.offset = position;
    if (stretch.is_hole) {
      const std::uint64_t end = stretch.end >= file_.size() ? bytes_ : stretch.end / block * block;
      piece.kind = Piece::Kind::zeroes;
      piece.length = std::min(kMaxZeroBytes, end - std::min(end, position));
      // A hole that ends inside a block leaves nothing here: the block is read as data.
      if (piece.length > 0) return {};
    }
    const std::uint64_t end = stretch.is_hole ? position + block : round_up(stretch.end, block);
    piece.kind = Piece::Kind::write;
    piece.length = std::min({static_cast<std::uint64_t>(kPieceBytes), end - position, bytes_ - position});
    const std::span<std::byte> data = piece.buffer.first(piece.length);
    if (Status read = file_.read(position, data); !read) return read;
    if (is_all_zero(data)) piece.kind = Piece::Kind::zeroes;
    return {};
  }

  BlockClient& volume_;
  const ImageFile& file_;
  std::uint64_t bytes_;  ///< to move: whole blocks
};

Status create_for(Context& context, const Arguments& arguments, const ImageFile& file) {
  const auto name = volume_name(arguments, arguments.operand(1));
  if (!name) return tl::unexpected(name.error());
  const auto master = context.master();
  if (!master) return tl::unexpected(master.error());
  protocol::VolumeCommand request;
  request.verb = protocol::VolumeVerb::create;
  request.name = *name;
  request.block_size = protocol::kMaxBlockSize;
  request.size = ByteCount(round_up(std::max<std::uint64_t>(file.size(), 1), request.block_size));
  const auto answer = (*master)->request<protocol::CommandAnswer>(request);
  return answer ? Status{} : tl::unexpected(answer.error());
}

client::BlockClientConfig config_for(const Context& context, const std::string& volume, std::uint64_t depth) {
  client::BlockClientConfig config = volume_config(context.options, volume);
  config.queue_depth = std::max(config.queue_depth, static_cast<std::uint32_t>(depth));
  return config;
}

void report(Context& context, const std::string& verb, const std::string& volume, std::uint64_t bytes,
            Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const ByteCount rate(seconds > 0 ? static_cast<std::uint64_t>(static_cast<double>(bytes) / seconds) : 0);
  Record record;
  record.add("volume", volume);
  record.add("bytes", bytes);
  record.add("seconds", Json(seconds), {});
  context.output.done(
      verb + " " + runtime::format_size(ByteCount(bytes)) + ", " + runtime::format_size(rate) + "/s", record);
}

Status import(Context& context, const Arguments& arguments) {
  const auto depth = arguments.number("depth", {1, kMaxDepth}, kDefaultDepth);
  if (!depth) return tl::unexpected(depth.error());
  const auto file = ImageFile::open(arguments.operand(0));
  if (!file) return tl::unexpected(file.error());
  if (arguments.has("create")) {
    if (Status created = create_for(context, arguments, **file); !created) return created;
  }
  const std::string name = arguments.operand(1);
  const bool is_verified = arguments.has("verify");
  const SteadyClock clock;
  const Instant start = clock.now();
  Status outcome =
      with_volume(context, config_for(context, name, *depth), [&](BlockClient& volume) -> Status {
        const client::VolumeInfo info = volume.info();
        if (info.size_bytes < (*file)->size()) {
          return fail(StatusCode::no_space, "volume " + name + " has " + std::to_string(info.size_bytes) +
                                                " bytes, the file has " + std::to_string((*file)->size()) +
                                                "; see sluice volume resize");
        }
        const auto buffers = RegisteredBuffers::make(volume, *depth, kPieceBytes);
        if (!buffers) return tl::unexpected(buffers.error());
        ImageTransfer transfer(volume, **file, round_up((*file)->size(), info.block_size));
        Status imported = transfer.import_into(**buffers, arguments.has("create"));
        return imported && is_verified ? transfer.verify(**buffers) : imported;
      });
  if (!outcome) return outcome;
  report(context, is_verified ? "imported and verified" : "imported", name, (*file)->size(),
         clock.now() - start);
  return {};
}

Status export_image(Context& context, const Arguments& arguments) {
  const auto depth = arguments.number("depth", {1, kMaxDepth}, kDefaultDepth);
  if (!depth) return tl::unexpected(depth.error());
  const std::string name = arguments.operand(0);
  client::BlockClientConfig config = config_for(context, name, *depth);
  config.read_only = true;
  const SteadyClock clock;
  const Instant start = clock.now();
  std::uint64_t bytes = 0;
  Status outcome = with_volume(context, config, [&](BlockClient& volume) -> Status {
    bytes = volume.info().size_bytes;
    const auto file = ImageFile::create(arguments.operand(1), bytes, arguments.has("force"));
    if (!file) return tl::unexpected(file.error());
    const auto buffers = RegisteredBuffers::make(volume, *depth, kPieceBytes);
    if (!buffers) return tl::unexpected(buffers.error());
    return ImageTransfer(volume, **file, bytes).export_from(**buffers);
  });
  if (!outcome) return outcome;
  report(context, "exported", name, bytes, clock.now() - start);
  return {};
}

}  // namespace

std::span<const Command> transfer_commands() {
  static const std::vector<Command> commands{
      {{"volume import",
        "Copies a raw image into a volume, which keeps what it has beyond the image's end; holes and zeroes "
        "take no space in it",
        {{"FILE"}, {"NAME"}},
        {{"create", "", "make the volume first, as large as the file"},
         {"verify", "", "read everything back and compare"},
         {"depth", "N", "requests of 1 MiB under way (8)"}}},
       import},
      {{"volume export",
        "Copies a volume into a raw image; zeroes become holes",
        {{"NAME"}, {"FILE"}},
        {{"force", "", "overwrite the file"}, {"depth", "N", "requests of 1 MiB under way (8)"}}},
       export_image}};
  return commands;
}

}  // namespace sluice::cli
